"""The store's SQLite file and its tables: opened on first use and again after a failure, moved aside when corrupt.

Only SQLite may open this file. Closing any descriptor of a file drops every POSIX lock that the process holds on it,
SQLite's own too: the next process to close the store would then believe that it is the last one, and delete the log
that this one still writes to. See https://www.sqlite.org/howtocorrupt.html, section 2.2.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reaper.clock import Clock

_BUSY_SECONDS = 2.0
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_SCHEMA = """
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


class StoreError(Exception):
    """The store cannot be read or written at the moment."""


class Database:
    """One file, shared by threads and processes. Every failure closes it and raises StoreError."""

    def __init__(self, path: Path, clock: Clock, *, read_only: bool) -> None:
        """Open nothing yet. With `read_only` nothing is ever written, and a missing file is not created."""
        self.path = path
        self.lock = threading.RLock()
        self._clock = clock
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._error: str | None = None

    def pop_error(self) -> str | None:
        """Return the last error since the previous call, None if there was none."""
        with self.lock:
            error, self._error = self._error, None
        return error

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _read(self, statement: str, values: tuple[Any, ...] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none if a read-only file is missing."""
        with self._open() as database:
            return database.execute(statement, values).fetchall() if database else []

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the open database in an exclusive transaction, which is committed unless the block raises."""
        with self._open() as database:
            if database is None or self._read_only:
                raise StoreError(f"{self.path} is open for reading only")
            with database:  # commits, or rolls back
                database.execute("BEGIN IMMEDIATE")
                yield database

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        """Yield the open database, None if a read-only file is missing. Every failure closes it."""
        with self.lock:
            try:
                yield self._connected()
            except (sqlite3.Error, OSError, ValueError, TypeError) as error:
                self._fail(error)
                raise StoreError(f"{self.path}: {error}") from error

    def _connected(self) -> sqlite3.Connection | None:
        if self._connection is not None and self._file() != self._inode:
            self.close()  # the file was moved away
        if self._connection is None:
            if not self._read_only:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.mknod(self.path, 0o600)  # readable by its owner only, and not opened
            elif not self.path.exists():
                return None
            uri = f"{self.path.resolve().as_uri()}?mode={'ro' if self._read_only else 'rw'}"
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._inode = self._file()
            if not self._read_only:
                self._connection.executescript(_SCHEMA)
        return self._connection

    def _file(self) -> int:
        try:
            return self.path.stat().st_ino
        except OSError:
            return 0

    def _fail(self, error: Exception) -> None:
        """Remember an error and close the file. A corrupt one is moved aside; the next use creates a new one."""
        self._error = f"{self.path}: {error}"
        same_file = self._file() == self._inode
        with contextlib.suppress(sqlite3.Error):
            self.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN and same_file and not self._read_only:
            with contextlib.suppress(OSError):
                self.path.rename(self.path.with_name(f"{self.path.name}.corrupt-{self._clock.now():.0f}"))
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
