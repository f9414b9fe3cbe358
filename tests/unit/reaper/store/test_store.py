"""What the store keeps, and what it does when it cannot."""

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
    """Return clocks that a test turns."""
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the store's file is to be."""
    return tmp_path / "deep" / "reaper.db"


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Store:
    """Return an empty store."""
    return Store(path, clock.as_clock())


def test_only_the_owner_may_read_it(store: Store, path: Path) -> None:
    """The file is created with its folder, for its owner alone, in WAL mode."""
    store.update(FAMILY, text="x")
    assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_signs_of_life_only_move_forward(store: Store) -> None:
    """A late writer does not turn a family's clock back; only a clamp after a clock that jumped does."""
    store.record_activity(FAMILY, "heartbeat", 100.0)
    store.record_activity(FAMILY, "heartbeat", 90.0)
    assert store.row(FAMILY) == Row(heartbeat=100.0)
    store.clamp(50.0)
    assert store.rows() == {FAMILY: Row(heartbeat=50.0)}


def test_a_lease_has_one_holder_and_an_end(store: Store, path: Path, clock: FakeClock) -> None:
    """Held by one, given back by its holder alone, and gone by itself."""
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
    """A service may have several; whoever opens and closes the file beside them sees the same leases and signs."""
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
    """Open a store in another process, return what an expression comes to there, and close it."""
    program = (
        "import sys; from pathlib import Path; from uuid import UUID; from reaper.store import Store\n"
        "store, family = Store(Path(sys.argv[1])), UUID(int=7)\n"
        f"print({expression}); store.close()"
    )
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def test_a_lease_survives_a_clock_that_is_set(store: Store, clock: FakeClock) -> None:
    """Leases end by the time since boot, which nobody can set."""
    assert store.acquire(FAMILY, "stop", 60)
    clock.wall += 100_000
    assert store.holders() == {str(FAMILY)}


def test_a_lease_of_another_boot_is_over(store: Store, path: Path, clock: FakeClock) -> None:
    """After a reboot time begins anew; a lease from before holds nobody up."""
    assert store.acquire(FAMILY, "stop", 60)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE leases SET boot = 'another'")
    lease = store.acquire(FAMILY, "wake", 60)
    assert lease
    store.release(lease)
    assert store.acquire(FAMILY, "stop", 60)
    clock.steady -= 900  # as far ahead as no lease can end
    assert store.acquire(FAMILY, "wake", 60)


def test_the_ledger_is_kept_in_order_and_rotated(store: Store) -> None:
    """Lines come back oldest first, the newest of too many, and leave by age."""
    entries = [Entry(float(at), FAMILY, "keep", "never", str(at), "c", {"n": at}) for at in range(5)]
    store.append(entries)
    store.append([Entry(9.0, uuid4(), "keep", "never", "other")])
    assert store.ledger(FAMILY, 0.0) == entries
    assert store.ledger(FAMILY, 2.0, 2) == entries[3:]
    store.rotate(3.0)
    assert [entry.text for entry in store.ledger(None, 0.0)] == ["3", "4", "other"]


def test_a_locked_file_holds_signs_of_life_in_memory(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody blocks the file nothing is lost: it is seen at once, and written when the file is free."""
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


def test_a_full_disk_is_an_error_and_then_is_not(store: Store) -> None:
    """Nothing is written half; when there is room again, everything goes on."""
    store.update(FAMILY, text="x")
    connection = store._database._connected()
    assert connection
    connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match="full"):
        store.append([Entry(1.0, FAMILY, "keep", "never", "long" * 100_000)])
    assert store.ledger(None, 0.0) == []
    store.append([Entry(1.0, FAMILY, "keep", "never", "fits")])
    assert [entry.text for entry in store.ledger(None, 0.0)] == ["fits"]


def test_a_file_that_cannot_be_looked_at_holds_signs_of_life_in_memory(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that was closed is an error like any other: families are woken all the same."""
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
    """It is kept for whoever wants to look, and a new one is begun."""
    store.update(FAMILY, text="x")
    store.close()
    path.write_bytes(b"this was a database once " * 1000)
    with pytest.raises(StoreError):
        store.rows()
    assert store.rows() == {}
    assert len(list(path.parent.glob("*.corrupt-*"))) == 1


def test_a_file_that_is_moved_away_is_begun_anew(store: Store, path: Path) -> None:
    """A reaper does not go on writing into a file that nobody else can see."""
    store.update(FAMILY, text="x")
    path.rename(path.with_name("gone"))
    assert store.row(FAMILY) == Row()
    store.update(FAMILY, text="y")
    assert Store(path).row(FAMILY) == Row(text="y")


def test_read_only_writes_nothing_and_needs_no_file(tmp_path: Path, store: Store, path: Path) -> None:
    """A dry run finds an empty store where there is none, and refuses to write into one that is there."""
    absent = Store(tmp_path / "absent.db", read_only=True)
    assert absent.rows() == {}
    assert not (tmp_path / "absent.db").exists()
    store.update(FAMILY, text="x")
    reader = Store(path, read_only=True)
    assert reader.row(FAMILY) == Row(text="x")
    with pytest.raises(StoreError, match="reading only"):
        reader.update(FAMILY, text="y")


def test_wrong_names_are_mistakes(store: Store) -> None:
    """A column or signal that does not exist is an error of the program, not of the disk."""
    with pytest.raises(LookupError):
        store.update(FAMILY, colour="red")
    with pytest.raises(ValueError, match="not a signal"):
        store.record_activity(FAMILY, "human", 1.0)
    store.update(FAMILY, text="x")
    assert store.pop_error() is None
