"""The reaper's memory, in one SQLite file that several processes share.

It holds each family's signals and last state, leases that expire, and an append-only ledger of decisions. Keeping a
family awake needs none of it: when the store fails with StoreError, no family is stopped. Signals that could not be
written are buffered in memory and written later.
"""

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from reaper.clock import Beat, Clock, boot_id
from reaper.store.database import Database, StoreError

# The times of a family's last heartbeat, request and wake: a write never moves them back.
SIGNALS = ("heartbeat", "touched", "woken")
_LONGEST_LEASE = 900.0
_TIMES = (*SIGNALS, "human", "message", "state_since", "unread_since", "cron_woken")


@dataclass(frozen=True)
class Row:
    """The store's record of one family. Times are epoch seconds.

    `message` is the newest message of any source, `human` the newest by a person. `cron_next` was read from container
    `cron_of`; `cron_woken` is the run that the family was last started for. `reason` and `text` are of the last
    decision.
    """

    heartbeat: float | None = None
    touched: float | None = None
    woken: float | None = None
    human: float | None = None
    message: float | None = None
    unread_since: float | None = None
    healthy_id: str | None = None
    cron_next: float | None = None
    cron_of: str | None = None
    cron_unread: str | None = None
    cron_woken: float | None = None
    state: str | None = None
    state_since: float | None = None
    reason: str | None = None
    text: str | None = None


_COLUMNS = tuple(entry.name for entry in fields(Row))


@dataclass(frozen=True)
class Lease:
    """The right to start or stop the family, or to use the boot slot, that is its key. It expires."""

    key: str
    owner: str
    purpose: str


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. `at` is in epoch seconds; `inputs` are the facts behind the decision."""

    at: float
    family: UUID
    action: str
    reason: str
    text: str
    container: str = ""
    inputs: Mapping[str, Any] | None = None


def _upsert(column: str) -> str:
    """Return the statement that sets a column of a family's record, which may not exist yet."""
    value = f"max(excluded.{column}, coalesce({column}, 0))" if column in SIGNALS else f"excluded.{column}"
    return f"INSERT INTO families (id, {column}) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET {column} = {value}"  # noqa: S608


_UPSERTS = {column: _upsert(column) for column in _COLUMNS}
_LEDGER_COLUMNS = tuple(entry.name for entry in fields(Entry))
# Leases end by the boot clock. One that ends later than any lease may is from before a reboot.
_HELD = f"boot = :boot AND until > :now AND until <= :now + {_LONGEST_LEASE}"


class Store(Database):
    """The SQLite file at `path`. With `read_only` nothing is ever written, and a missing file is not created.

    Every call raises StoreError if the file fails, unless its docstring says that it never raises.
    """

    def __init__(self, path: Path, clock: Clock | None = None, *, read_only: bool = False) -> None:
        """Open nothing yet: the file is opened on first use, and again after a failure."""
        super().__init__(path, clock or Clock(), read_only=read_only)
        self._buffered: dict[tuple[UUID, str], float] = {}

    # -- families

    def rows(self, family: UUID | None = None) -> dict[UUID, Row]:
        """Return the records of all families, or the one of `family`."""
        condition = "WHERE id = ?" if family else ""
        statement = f"SELECT id, {', '.join(_COLUMNS)} FROM families {condition}"  # noqa: S608 - our own names
        found = self._read(statement, (str(family),) if family else ())
        rows = {UUID(id_): Row(*columns) for id_, *columns in found}
        for (id_, name), at in list(self._buffered.items()):
            row = rows.get(id_, Row())
            newest: dict[str, Any] = {name: max(at, getattr(row, name) or at)}
            rows[id_] = replace(row, **newest)
        return rows

    def row(self, family: UUID) -> Row:
        """Return one family's record, an empty one if there is none."""
        return self.rows(family).get(family, Row())

    def update(self, family: UUID, **values: float | str | None) -> None:
        """Set columns of a family's record."""
        self.update_all({family: values})

    def update_all(self, values: Mapping[UUID, Mapping[str, Any]]) -> None:
        """Set columns of many families' records, in one transaction."""
        cells = [(id_, name, value) for id_, columns in values.items() for name, value in columns.items()]
        if cells:
            with self._transaction() as database:
                for id_, name, value in cells:
                    database.execute(_UPSERTS[name], (str(id_), value))

    def record_activity(self, family: UUID, signal: str, at: float) -> Lease | None:
        """Store when a signal came (epoch seconds), then return the lease held on the family, None if there is none.

        In this order: a process that takes the lease afterwards sees the signal. Never raises StoreError: a signal that
        cannot be written is buffered.
        """
        if signal not in SIGNALS:
            raise ValueError(f"{signal} is not a signal")
        statement = f"SELECT key, owner, purpose FROM leases WHERE key = :key AND {_HELD}"  # noqa: S608 - our own words
        try:
            with self._transaction() as database:
                database.execute(_UPSERTS[signal], (str(family), at))
                found = database.execute(statement, {"key": str(family), **self._boot()}).fetchall()
        except StoreError:
            with self.lock:
                self._buffered[family, signal] = at
            return None
        return Lease(*found[0]) if found else None

    def clamp(self, now: float) -> None:
        """Move times in the future to `now` (epoch seconds): the clock was set back."""
        columns = ", ".join(f"{name} = min({name}, :now)" for name in _TIMES)
        self._execute(f"UPDATE families SET {columns}", {"now": now})  # noqa: S608 - our own names

    # -- leases

    def acquire(self, key: UUID | str, purpose: str, seconds: float) -> Lease | None:
        """Take the lease on a key for that many seconds; return None if it is held."""
        lease = Lease(str(key), uuid4().hex, purpose)
        statement = (
            "INSERT OR REPLACE INTO leases (key, owner, purpose, until, boot) "  # noqa: S608 - our own words
            "SELECT :key, :owner, :purpose, :now + :seconds, :boot "
            f"WHERE NOT EXISTS (SELECT 1 FROM leases WHERE key = :key AND {_HELD})"
        )
        return lease if self._execute(statement, self._terms(lease, seconds)) else None

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold a lease for that many more seconds; return False if it is lost."""
        statement = f"UPDATE leases SET until = :now + :seconds WHERE key = :key AND owner = :owner AND {_HELD}"  # noqa: S608
        return bool(self._execute(statement, self._terms(lease, seconds)))

    def release(self, lease: Lease) -> None:
        """Release a lease. Never raises: one that cannot be released expires."""
        with contextlib.suppress(StoreError):
            self._execute("DELETE FROM leases WHERE key = :key AND owner = :owner", vars(lease))

    def holders(self) -> set[str]:
        """Return the keys of all leases that are held."""
        return {key for (key,) in self._read(f"SELECT key FROM leases WHERE {_HELD}", self._boot())}  # noqa: S608

    def _terms(self, lease: Lease, seconds: float) -> dict[str, Any]:
        return {**vars(lease), "seconds": min(seconds, _LONGEST_LEASE), **self._boot()}

    def _boot(self) -> dict[str, Any]:
        return {"now": self._clock.boot(), "boot": boot_id()}

    # -- ledger and clock

    def append(self, entries: Iterable[Entry]) -> None:
        """Append lines to the ledger."""
        lines = [
            {**vars(e), "family": str(e.family), "inputs": json.dumps(e.inputs) if e.inputs else None} for e in entries
        ]
        marks = ", ".join(f":{name}" for name in _LEDGER_COLUMNS)
        if lines:
            with self._transaction() as database:
                database.executemany(f"INSERT INTO ledger ({', '.join(_LEDGER_COLUMNS)}) VALUES ({marks})", lines)  # noqa: S608

    def ledger(self, family: UUID | None, since: float, limit: int = 10_000) -> list[Entry]:
        """Return the newest lines since a time (epoch seconds), oldest first, of one family or of all."""
        condition = "at >= :since AND family = :family" if family else "at >= :since"
        columns = ", ".join(_LEDGER_COLUMNS)
        statement = f"SELECT {columns} FROM ledger WHERE {condition} ORDER BY id DESC LIMIT :limit"  # noqa: S608
        found = self._read(statement, {"since": since, "family": str(family), "limit": limit})
        return [
            Entry(at, UUID(id_), action, reason, text, container, json.loads(inputs) if inputs else None)
            for at, id_, action, reason, text, container, inputs in reversed(found)
        ]

    def changes(self, since: float) -> dict[UUID, list[tuple[float, bool]]]:
        """Return when each family fell asleep (False) and woke (True) since a time (epoch seconds), oldest first."""
        awake = "action IN ('start', 'restart') OR (action = 'seen' AND reason = 'awake')"
        told = "action IN ('start', 'stop', 'restart') OR (action = 'seen' AND reason != 'restarting')"
        statement = f"SELECT family, at, {awake} FROM ledger WHERE at >= ? AND ({told}) ORDER BY id"  # noqa: S608
        found: dict[UUID, list[tuple[float, bool]]] = defaultdict(list)
        for family, at, woke in self._read(statement, (since,)):
            found[UUID(family)].append((at, bool(woke)))
        return found

    def rotate(self, before: float) -> None:
        """Delete lines of the ledger from before a time (epoch seconds)."""
        self._execute("DELETE FROM ledger WHERE at < :before", {"before": before})

    def beat(self) -> Beat | None:
        """Return the clocks at the last sweep, None if there was none."""
        found = self._read("SELECT value FROM meta WHERE key = 'beat'", ())
        return Beat(**json.loads(found[0][0])) if found else None

    def set_beat(self, beat: Beat) -> None:
        """Store the clocks of this sweep."""
        statement = "INSERT OR REPLACE INTO meta (key, value) VALUES ('beat', :value)"
        self._execute(statement, {"value": json.dumps(vars(beat))})

    # -- the file

    def _execute(self, statement: str, values: Mapping[str, Any]) -> int:
        """Run a statement in a transaction; return how many rows it changed."""
        with self._transaction() as database:
            return database.execute(statement, values).rowcount

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the database in a transaction that also writes the buffered signals."""
        with self.lock:
            with super()._transaction() as database:
                for (family, signal), at in self._buffered.items():
                    database.execute(_UPSERTS[signal], (str(family), at))
                yield database
            self._buffered.clear()
