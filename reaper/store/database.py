"""The SQLite file of the store: opened when it is needed and again after a failure, moved aside when it is corrupt.

Nothing but SQLite may open this file. Closing any descriptor of a file drops every POSIX lock that the process holds on
it, those of SQLite's own connections too: the next process to close the store would take itself for the last one, and
delete the log that this one goes on writing into. See https://www.sqlite.org/howtocorrupt.html, section 2.2.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from reaper.clock import Clock
from reaper.store.schema import SCHEMA

_Result = TypeVar("_Result")

_BUSY_SECONDS = 2.0
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StoreError(Exception):
    """The store cannot be read or written now."""


class Database:
    """One file that several threads and processes share. Every failure closes it and raises StoreError."""

    def __init__(self, path: Path, clock: Clock, *, read_only: bool) -> None:
        """Remember where. With `read_only` nothing is ever written, nor is a missing file created."""
        self.path = path
        self.lock = threading.RLock()
        self._clock = clock
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._trouble: str | None = None

    def read(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where there is no file to read."""
        with self._open() as database:
            return database.execute(statement, values).fetchall() if database else []

    def write(self, write: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run `write` in one transaction that no other writer is in, and return what it returns."""
        with self._open() as database:
            if database is None or self._read_only:
                raise StoreError(f"{self.path} is open for reading only")
            database.execute("BEGIN IMMEDIATE")
            result = write(database)
            database.execute("COMMIT")
            return result

    def pop_error(self) -> str | None:
        """Return what failed since this was last asked, or None."""
        with self.lock:
            trouble, self._trouble = self._trouble, None
        return trouble

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        """Hand out the open database; None where there is none to read. Every failure closes it."""
        with self.lock:
            try:
                yield self._connected()
            except (sqlite3.Error, OSError, ValueError, TypeError) as error:
                self._fail(error)
                raise StoreError(f"{self.path}: {error}") from error
            except BaseException:
                self.close()  # rolls back what was begun
                raise

    def _connected(self) -> sqlite3.Connection | None:
        if self._connection is not None and self._file() != self._inode:
            self.close()  # somebody moved the file away
        if self._connection is None:
            if self._read_only and not self.path.exists():
                return None
            mode = "ro" if self._read_only else "rwc"
            if not self._read_only:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.mknod(self.path, 0o600)  # for its owner alone, and never opened
            uri = f"{self.path.resolve().as_uri()}?mode={mode}"
            connection = sqlite3.connect(
                uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection, self._inode = connection, self._file()
            if not self._read_only:
                connection.executescript(SCHEMA)
        return self._connection

    def _file(self) -> int:
        try:
            return self.path.stat().st_ino
        except OSError:
            return 0

    def _fail(self, error: Exception) -> None:
        self._trouble = f"{self.path}: {error}"
        same_file = self._file() == self._inode
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self._connection = None
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN and same_file:
            self._set_aside()

    def _set_aside(self) -> None:
        """Move a corrupt file away, so that the next use begins a new one."""
        if self._read_only:
            return
        aside = self.path.with_name(f"{self.path.name}.corrupt-{self._clock.now():.0f}")
        with contextlib.suppress(OSError):
            self.path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
