"""How a family is woken: once, and with errors that name the problem."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import FleetError
from reaper import ensure_runtime
from reaper.clock import Clock
from reaper.store import Store
from reaper.store.database import StoreError
from reaper.wake.boot_slot import WAKING
from reaper.wake.operation import State, WakeOperation
from reaper.wake.runtime import (
    NoBootSlotError,
    NotProvisionedError,
    SuspendedError,
    TimedOutError,
    UnknownError,
)
from reaper.wake.waker import Waker
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import FakeContainer, ReaperUnderTest, make_reaper


@pytest.fixture
def asleep(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> ReaperUnderTest:
    """Let the family ash sleep, and answer as soon as it runs."""
    container = reaper.container("ash")
    container.state, container.port = "exited", 4711
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda _, port: port == 4711)
    monkeypatch.setattr("reaper.restart.healthy", lambda _, port: port == 4711)
    return reaper


def test_a_sleeper_is_started(asleep: ReaperUnderTest) -> None:
    """The result has its URL and says that the call woke it; all leases are given back."""
    runtime = ensure_runtime("ash", context=asleep.context)
    assert (runtime.name, runtime.state, runtime.url, runtime.woken) == ("ash", "awake", "http://127.0.0.1:4711", True)
    assert asleep.engine.did("start") == [asleep.container("ash").name]
    assert asleep.context.store.holders() == set()
    again = ensure_runtime("ash", context=asleep.context)
    assert (again.woken, asleep.engine.did("start")) == (False, [asleep.container("ash").name])


def test_a_queued_family_is_polled_less_often(asleep: ReaperUnderTest) -> None:
    """It may be one of very many; a booting family is polled as often as ever."""
    ash = asleep.context.families.current().get("ash")
    operations = [WakeOperation(asleep.context, ash, "touched", "ensure") for _ in range(2)]
    lease = asleep.context.store.acquire(str(ash.id), WAKING, 600)
    assert lease
    assert [operations[0].step(), operations[0].step()] == [None, None]
    asleep.container("ash").state, asleep.container("ash").port = "running", None
    assert [operations[1].step(), operations[1].step()] == [None, None]
    assert [operation.state for operation in operations] == [State.QUEUED, State.BOOTING]
    assert [operation.pause() for operation in operations] == [0.25, 0.05]
    asleep.clock.pass_time(10)
    assert [operation.pause() for operation in operations] == [1.0, 0.25]


def test_a_family_that_cannot_be_looked_at_is_polled_less_often(asleep: ReaperUnderTest) -> None:
    """While Docker does not answer, or a roll replaces its container, polling fast gains nothing."""
    ash = asleep.context.families.current().get("ash")
    operation = WakeOperation(asleep.context, ash, "touched", "ensure")
    asleep.engine.fail["inspect"] = FleetError("docker: no daemon answers")
    assert [operation.step(), operation.step()] == [None, None]
    assert operation.state is State.WAITING
    assert operation.pause() == 0.25


def test_concurrent_callers_start_it_once(asleep: ReaperUnderTest) -> None:
    """Callers with their own stores, as processes have, share one start, and all get the agent."""
    slow = threading.Event()
    settings = asleep.context.settings
    asleep.engine.before["start"] = lambda: slow.wait(0.1)
    found: list[Any] = []

    def call() -> None:
        own = replace(asleep.context, clock=Clock(), store=Store(settings.database))
        found.append(Waker(own).ensure(own.families.current().get("ash")))

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asleep.engine.did("start")) == 1
    assert len(found) == 20
    assert {runtime.url for runtime in found} == {"http://127.0.0.1:4711"}


def test_distinct_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, suspended, not provisioned and timed out are distinct; the log is redacted."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: False)
    reaper = make_reaper(tmp_path, [family("ash"), family("birch", state="suspended"), family("cedar")])
    with pytest.raises(UnknownError, match="'oak' is not in"):
        ensure_runtime("oak", context=reaper.context)
    with pytest.raises(SuspendedError, match="state: active"):
        ensure_runtime("birch", context=reaper.context)
    del reaper.engine.containers[reaper.container("cedar").name]
    with pytest.raises(NotProvisionedError, match="pulumi up"):
        ensure_runtime("cedar", context=reaper.context)
    with pytest.raises(TimedOutError) as caught:
        ensure_runtime("ash", context=reaper.context)
    assert "did not answer /health within 120 s" in str(caught.value)
    assert "last of 30 lines" in str(caught.value)
    assert "planted-secret-0001" not in str(caught.value)


def test_a_stop_under_way_is_waited_for(asleep: ReaperUnderTest) -> None:
    """A family that is being stopped is not returned; it is started again after the stop."""
    container, ash = asleep.container("ash"), asleep.context.families.current().get("ash")
    container.state = "running"
    lease = asleep.context.store.acquire(ash.id, "stop", 60)
    assert lease
    looks: list[str] = []

    def stopping() -> None:
        looks.append(container.state)
        if len(looks) == 5:
            container.state = "exited"
            asleep.context.store.release(lease)

    asleep.engine.before["inspect"] = stopping
    runtime = ensure_runtime("ash", context=asleep.context)
    assert runtime.woken
    assert len(looks) > 5


def test_a_lease_of_a_killed_reaper_expires(asleep: ReaperUnderTest) -> None:
    """Nothing waits longer for it than the lease lasts."""
    ash = asleep.context.families.current().get("ash")
    assert asleep.context.store.acquire(ash.id, "stop", 60)
    assert ensure_runtime("ash", context=asleep.context).woken
    assert 59 <= asleep.clock.steady - 1000 < 70


def test_a_container_that_a_roll_replaces_is_looked_up_again(asleep: ReaperUnderTest) -> None:
    """The name outlives the container: the caller gets the new one."""
    ash = asleep.context.families.current().get("ash")
    old = asleep.container("ash")
    old.port = 1

    def roll() -> None:
        if asleep.clock.steady > 1002 and asleep.engine.containers.get(old.name) is old:
            del asleep.engine.containers[old.name]
        elif asleep.clock.steady > 1008 and old.name not in asleep.engine.containers:
            asleep.engine.add(ash.id, id="e" * 64, port=4711)

    asleep.engine.before["inspect"] = roll
    runtime = ensure_runtime("ash", context=asleep.context)
    assert runtime.url == "http://127.0.0.1:4711"


def test_a_long_wait_counts_as_a_request_at_its_end(asleep: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot may take longer than idle_after, also one that another caller started."""
    container, ash = asleep.container("ash"), asleep.context.families.current().get("ash")
    container.state = "running"
    ready = asleep.clock.steady + 100
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: asleep.clock.steady > ready)
    assert not ensure_runtime("ash", context=asleep.context).woken
    assert asleep.context.store.row(ash.id).touched == asleep.clock.wall


def test_a_container_that_is_being_made_is_not_started(asleep: ReaperUnderTest) -> None:
    """Its files may not be written yet; its creator starts it, or it is started a moment later."""
    container = asleep.container("ash")
    container.state, container.created = "created", asleep.clock.wall
    ensure_runtime("ash", context=asleep.context)
    assert asleep.clock.steady - 1000 >= 5


def test_a_failing_store_does_not_prevent_a_wake(asleep: ReaperUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    """Without leases a family is still started, and the activity is not lost."""
    ash, database = asleep.context.families.current().get("ash"), asleep.context.settings.database
    database.mkdir()
    assert ensure_runtime("ash", context=asleep.context).woken
    assert "ash: woken without a lease" in caplog.text
    database.rmdir()
    assert asleep.context.store.row(ash.id).touched is not None


@pytest.mark.parametrize("wakers", [3, 1], ids=["as in three processes", "without a store"])
def test_concurrent_boots_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wakers: int) -> None:
    """Across processes, and without a store within one."""
    reaper = make_reaper(tmp_path, [family(f"f{at}") for at in range(6)], max_boots=2)
    booting: set[str] = set()
    most: list[int] = []

    def boot(container: FakeContainer) -> None:
        booting.add(container.name)
        most.append(len(booting))

    start = reaper.engine.start

    def start_and_boot(id_: str) -> None:
        start(id_)
        boot(_by_id(reaper, id_))

    monkeypatch.setattr(reaper.engine, "start", start_and_boot)

    def health(_: str, port: int) -> bool:
        name = next(container.name for container in reaper.engine.containers.values() if container.port == port)
        booting.discard(name)
        return True

    monkeypatch.setattr("reaper.wake.operation.healthy", health)
    for at, container in enumerate(reaper.engine.containers.values()):
        container.state, container.port = "exited", 5000 + at
    # With a fake clock, eighteen operations would pass time faster than leases are renewed.
    reaper.context.clock = Clock()
    if wakers == 1:
        monkeypatch.setattr(reaper.context.store, "acquire", _refuse)
    callers = [Waker(reaper.context) for _ in range(wakers)]
    for waker in callers:
        for each in reaper.context.families.current().families:
            waker.ensure_later(each, signal="woken", reason="heartbeat")
    for waker in callers:
        waker.wait()
    assert max(most) <= 2
    assert len(reaper.engine.did("start")) == 6


def test_blocked_wakes_do_not_delay_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More families than boot slots are waited for; another one is woken all the same."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    reaper = make_reaper(tmp_path, [family(f"f{at}") for at in range(6)], max_boots=2)
    waiting, go = threading.Semaphore(0), threading.Event()
    last = reaper.container("f5")

    def look(name_or_id: str, inspect: Any = reaper.engine.inspect) -> Any:
        if name_or_id not in {last.name, last.id}:
            waiting.release()
            assert go.wait(20)
        return inspect(name_or_id)

    monkeypatch.setattr(reaper.engine, "inspect", look)
    last.state, last.port = "exited", 1
    waker = Waker(reaper.context)
    *blocked, woken = reaper.context.families.current().families
    for each in blocked:
        waker.ensure_later(each, signal="heartbeat", reason="heartbeat")
    for _ in blocked:
        assert waiting.acquire(timeout=20)
    done = threading.Event()
    waker.ensure_later(woken, signal="heartbeat", reason="heartbeat", done=lambda _: done.set())
    assert done.wait(20)
    assert last.state == "running"
    go.set()
    waker.wait()


def test_a_family_suspended_before_its_wake_begins_is_not_woken(
    asleep: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry is read again when a postponed wake begins."""
    monkeypatch.setattr("reaper.wake.workers._BACKGROUND", 1)
    waker, go = Waker(asleep.context), threading.Event()
    ash, birch = (asleep.context.families.current().get(name) for name in ("ash", "birch"))
    asleep.engine.before["inspect"] = lambda: go.wait(20)
    failed: list[FleetError | None] = []
    waker.ensure_later(birch, signal="heartbeat", reason="heartbeat")
    waker.ensure_later(ash, signal="heartbeat", reason="heartbeat", done=failed.append)
    suspended = ash.model_copy(update={"state": "suspended"})
    monkeypatch.setattr(asleep.context.families, "find", {str(ash.id): suspended, str(birch.id): birch}.get)
    go.set()
    waker.wait()
    assert isinstance(failed[0], SuspendedError)
    assert asleep.engine.did("start") == []


def test_a_postponed_wake_has_its_full_time(asleep: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its health_timeout starts with its first step."""
    operation = WakeOperation(asleep.context, asleep.context.families.current().get("ash"), "woken", "cron")
    asleep.clock.pass_time(1000)
    ready = asleep.clock.steady + 100
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: asleep.clock.steady > ready)
    runtime = operation.run()
    assert runtime.woken
    assert runtime.ms < 110_000


def test_without_a_boot_slot_the_family_did_not_fail(asleep: ReaperUnderTest) -> None:
    """Nor if another operation holds its lease: all slots are taken, and nothing is wrong with the family."""
    store, ash = asleep.context.store, asleep.context.families.current().get("ash")
    assert store.acquire(str(ash.id), "wake", 10_000)
    for number in range(asleep.context.settings.max_boots):
        assert store.acquire(f"boot:{number}", "wake", 10_000)
    with pytest.raises(NoBootSlotError, match="others booted all the while"):
        Waker(asleep.context).ensure(ash)
    assert asleep.engine.did("start") == []
    assert [entry.action for entry in store.ledger(ash.id, 0.0, 20)] == []


def test_a_start_that_fails_elsewhere_is_reported(asleep: ReaperUnderTest) -> None:
    """Slots are free, so it is the family that does not start, and its log says why."""
    ash = asleep.context.families.current().get("ash")
    assert asleep.context.store.acquire(str(ash.id), "wake", 10_000)
    with pytest.raises(TimedOutError, match="its container is exited"):
        Waker(asleep.context).ensure(ash)


def _refuse(*_: object) -> None:
    raise StoreError("database or disk is full")


def _by_id(reaper: ReaperUnderTest, id_: str) -> FakeContainer:
    return next(container for container in reaper.engine.containers.values() if container.id == id_)
