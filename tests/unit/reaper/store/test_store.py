"""What the store keeps, and how it fails."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from reaper.store import Entry, Row, Store
from reaper.store.database import StoreError
from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.reaper import FakeClock

FAMILY = UUID(int=7)


@pytest.fixture
def clock() -> FakeClock:
    """Return clocks that a test moves."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the store's file, which does not exist yet."""
    return tmp_path / "deep" / "reaper.db"


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Store:
    """Return an empty store."""
    return Store(path, clock.as_clock())


def test_only_the_owner_may_read_it(store: Store, path: Path) -> None:
    """The file is created with its folder, mode 0600, in WAL mode."""
    store.update(FAMILY, text="x")
    assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_signals_only_move_forward(store: Store) -> None:
    """A late writer does not move a signal back; only a clamp, after the clock was set back, does."""
    store.record_activity(FAMILY, "heartbeat", 100.0)
    store.record_activity(FAMILY, "heartbeat", 90.0)
    assert store.row(FAMILY) == Row(heartbeat=100.0)
    store.clamp(50.0)
    assert store.rows() == {FAMILY: Row(heartbeat=50.0)}


def test_a_lease_has_one_holder_and_an_end(store: Store, path: Path, clock: FakeClock) -> None:
    """One process holds a lease, only that one can release it, and it expires."""
    other = Store(path, clock.as_clock())
    lease = store.acquire(FAMILY, "stop", 60)
    assert lease
    assert other.acquire(FAMILY, "wake", 60) is None
    assert other.record_activity(FAMILY, "heartbeat", 1.0) == lease
    clock.pass_time(61)
    taken = other.acquire(FAMILY, "wake", 60)
    assert taken
    assert not store.renew(lease, 60)
    store.release(lease)
    assert store.holders() == {str(FAMILY)}
    other.release(taken)
    assert store.holders() == set()


def test_stores_of_one_process_do_not_shut_another_process_out(tmp_path: Path) -> None:
    """A process may open the file twice; another process that opens and closes it sees the same leases and signals."""
    path = tmp_path / "reaper.db"
    store, beside = Store(path), Store(path)
    for own in (store, beside):
        own.record_activity(FAMILY, "touched", 1.0)
    assert _in_another_process(path, "store.record_activity(family, 'touched', 2.0)") == "None"
    assert store.acquire(FAMILY, "wake", 60)
    store.record_activity(FAMILY, "heartbeat", 10.0)
    said = "(store.acquire(family, 'stop', 60), store.row(family).heartbeat)"
    assert _in_another_process(path, said) == "(None, 10.0)"
    assert store.row(FAMILY) == beside.row(FAMILY) == Row(heartbeat=10.0, touched=2.0)


def _in_another_process(path: Path, expression: str) -> str:
    """Evaluate an expression on a store in another process, and return its value as printed."""
    program = (
        "import sys; from pathlib import Path; from uuid import UUID; from reaper.store import Store\n"
        "store, family = Store(Path(sys.argv[1])), UUID(int=7)\n"
        f"print({expression}); store.close()"
    )
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def test_a_lease_survives_a_clock_that_is_set(store: Store, clock: FakeClock) -> None:
    """Leases expire by the boot clock, which cannot be set."""
    assert store.acquire(FAMILY, "stop", 60)
    clock.wall += 100_000
    assert store.holders() == {str(FAMILY)}


def test_a_lease_of_an_earlier_boot_has_expired(store: Store, path: Path, clock: FakeClock) -> None:
    """After a reboot the boot clock starts again; a lease from before it no longer counts."""
    assert store.acquire(FAMILY, "stop", 60)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE leases SET boot = 'another'")
    lease = store.acquire(FAMILY, "wake", 60)
    assert lease
    store.release(lease)
    assert store.acquire(FAMILY, "stop", 60)
    clock.steady -= 900  # the lease now ends later than any lease may
    assert store.acquire(FAMILY, "wake", 60)


def test_the_ledger_is_kept_in_order_and_rotated(store: Store) -> None:
    """Lines are returned oldest first, the newest ones if there are too many, and deleted by age."""
    entries = [Entry(float(at), FAMILY, "keep", "never", str(at), "c", {"n": at}) for at in range(5)]
    store.append(entries)
    store.append([Entry(9.0, uuid4(), "keep", "never", "other")])
    assert store.ledger(FAMILY, 0.0) == entries
    assert store.ledger(FAMILY, 2.0, 2) == entries[3:]
    store.rotate(3.0)
    assert [entry.text for entry in store.ledger(None, 0.0)] == ["3", "4", "other"]


def test_a_locked_file_buffers_signals(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes while the file is locked is buffered: visible at once, written once the file is free."""
    monkeypatch.setattr("reaper.store.database._BUSY_SECONDS", 0.05)
    store.update(FAMILY, text="x")
    store.close()
    with sqlite3.connect(path, isolation_level=None) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        assert store.record_activity(FAMILY, "heartbeat", 5.0) is None
        with pytest.raises(StoreError, match="locked"):
            store.acquire(FAMILY, "stop", 60)
        blocker.execute("COMMIT")
    assert store.row(FAMILY).heartbeat == 5.0
    assert store.pop_error()
    store.update(FAMILY, text="y")
    assert Store(path).row(FAMILY) == Row(heartbeat=5.0, text="y")
    assert store.pop_error() is None


def test_a_full_disk_is_a_passing_error(store: Store) -> None:
    """Nothing is written by half; the store works again once there is room."""
    store.update(FAMILY, text="x")
    connection = store._connected()
    assert connection
    connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match="full"):
        store.append([Entry(1.0, FAMILY, "keep", "never", "long" * 100_000)])
    assert store.ledger(None, 0.0) == []
    store.append([Entry(1.0, FAMILY, "keep", "never", "fits")])
    assert [entry.text for entry in store.ledger(None, 0.0)] == ["fits"]


def test_an_inaccessible_file_buffers_signals(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without permission is an error like any other: families are still woken."""
    store.update(FAMILY, text="x")
    look = Path.stat

    def closed(file: Path, **options: bool) -> os.stat_result:
        if file == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return look(file, **options)

    monkeypatch.setattr(Path, "stat", closed)
    monkeypatch.setattr("os.mknod", lambda *_: closed(path))
    assert store.record_activity(FAMILY, "heartbeat", 5.0) is None
    with pytest.raises(StoreError, match="Permission denied"):
        store.rows()
    monkeypatch.undo()
    assert store.row(FAMILY).heartbeat == 5.0


def test_a_corrupt_file_is_set_aside(store: Store, path: Path) -> None:
    """It is kept for inspection, and a new file is created."""
    store.update(FAMILY, text="x")
    store.close()
    path.write_bytes(b"this was a database once " * 1000)
    with pytest.raises(StoreError):
        store.rows()
    assert store.rows() == {}
    assert len(list(path.parent.glob("*.corrupt-*"))) == 1


def test_a_file_that_was_moved_away_is_created_again(store: Store, path: Path) -> None:
    """The store does not go on writing to a file that other processes no longer see."""
    store.update(FAMILY, text="x")
    path.rename(path.with_name("gone"))
    assert store.row(FAMILY) == Row()
    store.update(FAMILY, text="y")
    assert Store(path).row(FAMILY) == Row(text="y")


def test_read_only_writes_nothing_and_needs_no_file(tmp_path: Path, store: Store, path: Path) -> None:
    """Read-only, a missing file is an empty store, and an existing one is never written."""
    absent = Store(tmp_path / "absent.db", read_only=True)
    assert absent.rows() == {}
    assert not (tmp_path / "absent.db").exists()
    store.update(FAMILY, text="x")
    reader = Store(path, read_only=True)
    assert reader.row(FAMILY) == Row(text="x")
    with pytest.raises(StoreError, match="reading only"):
        reader.update(FAMILY, text="y")


def test_unknown_names_are_bugs(store: Store) -> None:
    """An unknown column or signal is a bug, not a failure of the store."""
    with pytest.raises(LookupError):
        store.update(FAMILY, colour="red")
    with pytest.raises(ValueError, match="not a signal"):
        store.record_activity(FAMILY, "human", 1.0)
    store.update(FAMILY, text="x")
    assert store.pop_error() is None
