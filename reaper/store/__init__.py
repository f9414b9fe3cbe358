"""The reaper's memory, in one SQLite file that several processes share.

It holds each family's signals and last state, leases that expire, and an append-only ledger of decisions. Keeping a
family awake needs none of it: when the store fails with StoreError, no family is stopped. Signals that could not be
written are buffered in memory and written later.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from reaper.clock import Beat, Clock, boot_id
from reaper.store.database import Database, StoreError

_Result = TypeVar("_Result")

# The times of a family's last heartbeat, request and wake: a write never moves them back.
SIGNALS = ("heartbeat", "touched", "woken")
_LEDGER_COLUMNS = "at, family, action, reason, text, container, inputs"
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


class Store:
    """The SQLite file at `path`. With `read_only` nothing is ever written, and a missing file is not created.

    Every call raises StoreError if the file fails, unless its docstring says that it never raises.
    """

    def __init__(self, path: Path, clock: Clock | None = None, *, read_only: bool = False) -> None:
        """Open nothing yet: the file is opened on first use, and again after a failure."""
        self._clock = clock or Clock()
        self._database = Database(path, self._clock, read_only=read_only)
        self._buffered: dict[tuple[UUID, str], float] = {}

    def pop_error(self) -> str | None:
        """Return the last error since the previous call, None if there was none."""
        return self._database.pop_error()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # -- families

    def rows(self) -> dict[UUID, Row]:
        """Return the records of all families."""
        return self._rows("", ())

    def row(self, family: UUID) -> Row:
        """Return one family's record, an empty one if there is none."""
        return self._rows("WHERE id = ?", (str(family),)).get(family, Row())

    def _rows(self, condition: str, values: tuple[str, ...]) -> dict[UUID, Row]:
        statement = f"SELECT id, {', '.join(_COLUMNS)} FROM families {condition}"  # noqa: S608 - our own names
        rows = {UUID(found[0]): Row(*found[1:]) for found in self._database.read(statement, values)}
        for (family, name), at in list(self._buffered.items()):
            row = rows.get(family, Row())
            newest: dict[str, Any] = {name: max(at, getattr(row, name) or at)}
            rows[family] = replace(row, **newest)
        return rows

    def update(self, family: UUID, **values: float | str | None) -> None:
        """Set columns of a family's record."""
        self.update_all({family: values})

    def update_all(self, values: Mapping[UUID, Mapping[str, Any]]) -> None:
        """Set columns of many families' records, in one transaction."""

        def write(database: sqlite3.Connection) -> None:
            for family, columns in values.items():
                _upsert(database, family, columns)

        if values:
            self._write(write)

    def record_activity(self, family: UUID, signal: str, at: float) -> Lease | None:
        """Store when a signal came (epoch seconds), then return the lease held on the family, None if there is none.

        Both are one transaction: a process that takes the lease afterwards sees the signal. Never raises StoreError: a
        signal that cannot be written is buffered.
        """
        if signal not in SIGNALS:
            raise ValueError(f"{signal} is not a signal")
        key = str(family)

        def write(database: sqlite3.Connection) -> Lease | None:
            _upsert(database, family, {signal: at})
            return self._holder(database, key)

        try:
            return self._write(write)
        except StoreError:
            with self._database.lock:
                self._buffered[family, signal] = at
            return None

    def clamp(self, now: float) -> None:
        """Move times in the future to `now` (epoch seconds): the clock was set back."""
        columns = ", ".join(f"{name} = min({name}, :now)" for name in _TIMES)
        statement = f"UPDATE families SET {columns}"  # noqa: S608 - our names
        self._write(lambda database: database.execute(statement, {"now": now}))

    # -- leases

    def acquire(self, key: UUID | str, purpose: str, seconds: float) -> Lease | None:
        """Take the lease on a key for that many seconds; return None if it is held."""
        lease = Lease(str(key), uuid4().hex, purpose)

        def write(database: sqlite3.Connection) -> Lease | None:
            if self._holder(database, lease.key):
                return None
            until = self._clock.boot() + min(seconds, _LONGEST_LEASE)
            values = (lease.key, lease.owner, purpose, until, boot_id())
            database.execute(
                "INSERT OR REPLACE INTO leases (key, owner, purpose, until, boot) VALUES (?,?,?,?,?)", values
            )
            return lease

        return self._write(write)

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold a lease for that many more seconds; return False if it is lost."""
        until = self._clock.boot() + min(seconds, _LONGEST_LEASE)
        values = (until, lease.key, lease.owner, self._clock.boot())
        statement = "UPDATE leases SET until = ? WHERE key = ? AND owner = ? AND until > ?"
        return bool(self._write(lambda database: database.execute(statement, values).rowcount))

    def release(self, lease: Lease) -> None:
        """Release a lease. Never raises: one that cannot be released expires."""
        values = (lease.key, lease.owner)
        with contextlib.suppress(StoreError):
            self._write(lambda database: database.execute("DELETE FROM leases WHERE key = ? AND owner = ?", values))

    def holders(self) -> set[str]:
        """Return the keys of all leases that are held."""
        found = self._database.read("SELECT key, until, boot FROM leases", ())
        return {key for key, until, boot in found if self._valid(until, boot)}

    def _holder(self, database: sqlite3.Connection, key: str) -> Lease | None:
        found = database.execute("SELECT owner, purpose, until, boot FROM leases WHERE key = ?", (key,)).fetchone()
        return Lease(key, found[0], found[1]) if found and self._valid(found[2], found[3]) else None

    def _valid(self, until: float, boot: str) -> bool:
        left = until - self._clock.boot()
        return boot == boot_id() and 0 < left <= _LONGEST_LEASE

    # -- ledger and clock

    def append(self, entries: Iterable[Entry]) -> None:
        """Append lines to the ledger."""
        values = [
            (e.at, str(e.family), e.action, e.reason, e.text, e.container, json.dumps(e.inputs) if e.inputs else None)
            for e in entries
        ]
        statement = f"INSERT INTO ledger ({_LEDGER_COLUMNS}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608 - our own names
        if values:
            self._write(lambda database: database.executemany(statement, values))

    def ledger(self, family: UUID | None, since: float, limit: int = 10_000) -> list[Entry]:
        """Return the newest lines since a time (epoch seconds), oldest first, of one family or of all."""
        condition = "AND family = ?" if family else ""
        order = f"WHERE at >= ? {condition} ORDER BY id DESC LIMIT ?"
        values = (since, *((str(family),) if family else ()), limit)
        found = self._database.read(f"SELECT {_LEDGER_COLUMNS} FROM ledger {order}", values)  # noqa: S608 - our own names
        return [
            Entry(v[0], UUID(v[1]), v[2], v[3], v[4], v[5], json.loads(v[6]) if v[6] else None) for v in reversed(found)
        ]

    def changes(self, since: float) -> dict[UUID, list[tuple[float, bool]]]:
        """Return when each family fell asleep (False) and woke (True) since a time (epoch seconds), oldest first."""
        awake = "action IN ('start', 'restart') OR (action = 'seen' AND reason = 'awake')"
        told = "action IN ('start', 'stop', 'restart') OR (action = 'seen' AND reason != 'restarting')"
        statement = f"SELECT family, at, {awake} FROM ledger WHERE at >= ? AND ({told}) ORDER BY id"  # noqa: S608
        found: dict[str, list[tuple[float, bool]]] = {}
        for family, at, woke in self._database.read(statement, (since,)):
            found.setdefault(family, []).append((at, bool(woke)))
        return {UUID(family): changes for family, changes in found.items()}

    def rotate(self, before: float) -> None:
        """Delete lines of the ledger from before a time (epoch seconds)."""
        self._write(lambda database: database.execute("DELETE FROM ledger WHERE at < ?", (before,)))

    def beat(self) -> Beat | None:
        """Return the clocks at the last sweep, None if there was none."""
        found = self._database.read("SELECT value FROM meta WHERE key = 'beat'", ())
        return Beat(**json.loads(found[0][0])) if found else None

    def set_beat(self, beat: Beat) -> None:
        """Store the clocks of this sweep."""
        value = json.dumps(vars(beat))
        statement = "INSERT OR REPLACE INTO meta (key, value) VALUES ('beat', ?)"
        self._write(lambda database: database.execute(statement, (value,)))

    # -- the file

    def _write(self, write: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run `write` in a transaction that also writes the buffered signals."""

        def with_buffered(database: sqlite3.Connection) -> _Result:
            for (family, name), at in self._buffered.items():
                _upsert(database, family, {name: at})
            return write(database)

        with self._database.lock:
            result = self._database.write(with_buffered)
            self._buffered.clear()
            return result


def _upsert(database: sqlite3.Connection, family: UUID, values: Mapping[str, Any]) -> None:
    unknown = set(values) - set(_COLUMNS)
    if unknown:
        raise LookupError(f"not columns: {sorted(unknown)}")
    names = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    updates = ", ".join(
        f"{name} = max(excluded.{name}, coalesce({name}, 0))" if name in SIGNALS else f"{name} = excluded.{name}"
        for name in values
    )
    statement = f"INSERT INTO families (id, {names}) VALUES (?, {marks}) ON CONFLICT (id) DO UPDATE SET {updates}"  # noqa: S608
    database.execute(statement, (str(family), *values.values()))
