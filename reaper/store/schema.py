"""The tables of the reaper's store."""

# Signs of life: they only ever move forward.
SIGNALS = ("heartbeat", "touched", "woken")

LEDGER_COLUMNS = "at, family, action, reason, text, container, inputs"

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS families (
    id TEXT PRIMARY KEY,
    heartbeat REAL, touched REAL, woken REAL, human REAL, message REAL,
    unread_since REAL, healthy_id TEXT,
    cron_next REAL, cron_of TEXT, cron_unread TEXT, cron_woken REAL,
    state TEXT, state_since REAL, reason TEXT, text TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    key TEXT PRIMARY KEY, owner TEXT NOT NULL, purpose TEXT NOT NULL, until REAL NOT NULL, boot TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, family TEXT NOT NULL, action TEXT NOT NULL,
    reason TEXT NOT NULL, text TEXT NOT NULL, container TEXT NOT NULL, inputs TEXT
);
CREATE INDEX IF NOT EXISTS ledger_of_family ON ledger (family, id);
CREATE INDEX IF NOT EXISTS ledger_by_age ON ledger (at);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
