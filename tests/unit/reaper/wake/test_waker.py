"""How a family is woken: once, and with errors that say what is the matter."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import FleetError
from reaper import ensure_runtime, restart_all_runtimes
from reaper.clock import Clock
from reaper.http.requests import Heartbeat
from reaper.orphans import orphans
from reaper.store import Store
from reaper.store.database import StoreError
from reaper.wake.boot_slot import WAKING
from reaper.wake.operation import State, WakeOperation
from reaper.wake.runtime import (
    NoBootSlotError,
    NotProvisionedError,
    Runtime,
    SuspendedError,
    TimedOutError,
    UnknownError,
)
from reaper.wake.waker import Waker
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import FakeContainer, ReaperUnderTest, make_reaper, write_registry


@pytest.fixture
def asleep(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> ReaperUnderTest:
    """Let the family ash sleep, and answer as soon as it runs."""
    container = reaper.container("ash")
    container.state, container.port = "exited", 4711
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda _, port: port == 4711)
    monkeypatch.setattr("reaper.restart.healthy", lambda _, port: port == 4711)
    return reaper


def test_a_sleeper_is_started_and_its_url_told(asleep: ReaperUnderTest) -> None:
    """The answer says where it is, that it was woken, and how long that took; the lease is given back."""
    runtime = ensure_runtime("ash", context=asleep.context)
    assert (runtime.name, runtime.state, runtime.url, runtime.woken) == ("ash", "awake", "http://127.0.0.1:4711", True)
    assert asleep.engine.did("start") == [asleep.container("ash").name]
    assert asleep.context.store.holders() == set()
    again = ensure_runtime("ash", context=asleep.context)
    assert (again.woken, asleep.engine.did("start")) == (False, [asleep.container("ash").name])


def test_whoever_waits_for_a_turn_looks_less_often(asleep: ReaperUnderTest) -> None:
    """As one of very many, perhaps; a family that boots is asked for its health as often as ever."""
    ash = asleep.context.families.current().get("ash")
    attempts = [WakeOperation(asleep.context, ash, "touched", "ensure") for _ in range(2)]
    lease = asleep.context.store.acquire(str(ash.id), WAKING, 600)
    assert lease
    assert [attempts[0].step(), attempts[0].step()] == [None, None]
    asleep.container("ash").state, asleep.container("ash").port = "running", None
    assert [attempts[1].step(), attempts[1].step()] == [None, None]
    assert [attempt.state for attempt in attempts] == [State.QUEUED, State.BOOTING]
    assert [attempt.pause() for attempt in attempts] == [0.25, 0.05]
    asleep.clock.pass_time(10)
    assert [attempt.pause() for attempt in attempts] == [1.0, 0.25]


def test_many_at_a_time_start_it_once(asleep: ReaperUnderTest) -> None:
    """Callers with stores of their own, like processes have, share one start and all get the agent."""
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
    """Unknown, suspended, not provisioned and timed out are told apart; a log is shown without its secrets."""
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
    """A family that somebody is stopping is not handed out; it is started again once the stop is through."""
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


def test_a_lease_that_nobody_gave_back_expires(asleep: ReaperUnderTest) -> None:
    """A reaper that was killed holds nobody up for longer than its lease."""
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


def beat(reaper: ReaperUnderTest, waker: Waker) -> Runtime:
    """Take a heartbeat of the family ash."""
    heartbeat = Heartbeat(reaper.context, waker, reaper.context.families.current().get("ash"))
    assert heartbeat.step() is None
    answer = heartbeat.step()
    assert answer
    return answer


def test_a_heartbeat_in_the_gap_of_a_roll_is_taken(asleep: ReaperUnderTest) -> None:
    """Between the old container and the new one the family is waking; one that never had any is not provisioned."""
    ash = asleep.context.families.current().get("ash")
    container = asleep.engine.containers.pop(asleep.container("ash").name)
    waker = Waker(asleep.context)
    with pytest.raises(NotProvisionedError):
        beat(asleep, waker)
    asleep.context.store.update(ash.id, state="missing", state_since=asleep.clock.wall - 3600, healthy_id=container.id)
    with pytest.raises(NotProvisionedError):
        beat(asleep, waker)
    asleep.context.store.update(ash.id, state="missing", state_since=asleep.clock.wall)
    asleep.engine.before["inspect"] = lambda: (
        asleep.clock.steady > 1001 and asleep.engine.containers.update({container.name: container})
    )
    assert beat(asleep, waker).state == "waking"
    waker.wait()
    assert container.state == "running"


def test_whoever_waited_long_asked_when_they_got_it(asleep: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot may take longer than idle_after: the wait for an agent that somebody else started counts, too."""
    container, ash = asleep.container("ash"), asleep.context.families.current().get("ash")
    container.state = "running"
    ready = asleep.clock.steady + 100
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: asleep.clock.steady > ready)
    assert not ensure_runtime("ash", context=asleep.context).woken
    assert asleep.context.store.row(ash.id).touched == asleep.clock.wall


def test_a_container_in_the_making_is_not_started(asleep: ReaperUnderTest) -> None:
    """Its files may not be written yet; whoever creates it starts it, or it is started a moment later."""
    container = asleep.container("ash")
    container.state, container.created = "created", asleep.clock.wall
    ensure_runtime("ash", context=asleep.context)
    assert asleep.clock.steady - 1000 >= 5


def test_a_store_that_fails_wakes_all_the_same(asleep: ReaperUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    """Awake-safe: without leases a family is still started, and the sign of life is not lost."""
    ash, database = asleep.context.families.current().get("ash"), asleep.context.settings.database
    database.mkdir()
    assert ensure_runtime("ash", context=asleep.context).woken
    assert "ash: woken without a lease" in caplog.text
    database.rmdir()
    assert asleep.context.store.row(ash.id).touched is not None


def test_a_heartbeat_never_waits(asleep: ReaperUnderTest) -> None:
    """It is answered at once; the family is woken in the background."""
    waker, ash = Waker(asleep.context), asleep.context.families.current().get("ash")
    assert beat(asleep, waker).state == "waking"
    waker.wait()
    assert beat(asleep, waker).state == "awake"
    assert asleep.context.store.row(ash.id).heartbeat == asleep.clock.wall


@pytest.mark.parametrize("wakers", [3, 1], ids=["as in three processes", "without a store"])
def test_no_more_boots_at_a_time_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wakers: int) -> None:
    """Many families that wake at once boot one after the other, across all callers; also where no lease can be had."""
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
    # Of clocks that stand still, eighteen who wait would turn them faster than leases are renewed.
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


def test_who_does_not_come_up_keeps_nobody_else_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More families than may boot at a time are waited for; another one is woken all the same."""
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


def test_who_is_suspended_while_they_wait_their_turn_is_not_woken(
    asleep: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the registry says when it comes to a family counts."""
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


def _refuse(*_: object) -> None:
    raise StoreError("database or disk is full")


def _by_id(reaper: ReaperUnderTest, id_: str) -> FakeContainer:
    return next(container for container in reaper.engine.containers.values() if container.id == id_)


def test_restart_goes_in_waves_and_halts(asleep: ReaperUnderTest) -> None:
    """Awake families are stopped and started; a family that does not come back ends it."""
    asleep.container("birch").port = 4711
    results = restart_all_runtimes(context=asleep.context)
    assert [(result.name, result.problem) for result in results] == [("birch", None)]
    assert asleep.engine.did("stop") == asleep.engine.did("start") == [asleep.container("birch").name]
    asleep.container("birch").port = 1
    (result,) = restart_all_runtimes(context=asleep.context)
    assert result.problem
    assert "did not answer /health" in result.problem


@pytest.mark.parametrize("how", ["asleep", "suspended", "replaced"])
def test_restart_leaves_alone_who_is_no_longer_awake(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waves take minutes: whoever fell asleep, was suspended or replaced meanwhile is not started, and ends nothing."""
    monkeypatch.setattr("reaper.restart.healthy", lambda *_: True)
    entries = [family(name) for name in ("ash", "birch", "cedar")]
    reaper = make_reaper(tmp_path, entries, wave_size=1)
    for number, container in enumerate(reaper.engine.containers.values()):
        container.port = 5000 + number

    def meanwhile() -> None:
        if how == "asleep":
            reaper.container("birch").state = "exited"
        elif how == "suspended":
            write_registry(tmp_path, [entries[0], {**entries[1], "state": "suspended"}, entries[2]])
        else:
            reaper.container("birch").id = "another"

    reaper.engine.before["start"] = meanwhile
    results = restart_all_runtimes(context=reaper.context)
    assert [(each.name, each.problem, bool(each.skipped)) for each in results] == [
        ("ash", None, False), ("birch", None, True), ("cedar", None, False),
    ]  # fmt: skip
    assert reaper.engine.did("start") == [reaper.container(name).name for name in ("ash", "cedar")]


def test_who_has_no_turn_did_not_fail(asleep: ReaperUnderTest) -> None:
    """Who waits for whoever is to start the family, either: all turns are taken, nothing is wrong with it."""
    store, ash = asleep.context.store, asleep.context.families.current().get("ash")
    assert store.acquire(str(ash.id), "wake", 10_000)
    for number in range(asleep.context.settings.max_boots):
        assert store.acquire(f"boot:{number}", "wake", 10_000)
    with pytest.raises(NoBootSlotError, match="others booted all the while"):
        Waker(asleep.context).ensure(ash)
    assert asleep.engine.did("start") == []
    assert [entry.action for entry in store.ledger(ash.id, 0.0, 20)] == []


def test_who_waits_for_a_start_that_fails_is_told_so(asleep: ReaperUnderTest) -> None:
    """Turns are free: it is the family that does not start, and its log says why."""
    ash = asleep.context.families.current().get("ash")
    assert asleep.context.store.acquire(str(ash.id), "wake", 10_000)
    with pytest.raises(TimedOutError, match="its container is exited"):
        Waker(asleep.context).ensure(ash)


def test_orphans_are_listed_and_removed_only_when_told_to(reaper: ReaperUnderTest) -> None:
    """Dry unless told otherwise; a zero time is left alone, and one failure does not stop the rest."""
    for name, created in (("usr_1", 5.0), ("usr_2", None), ("usr_3", 7.0)):
        container = FakeContainer(id=name, name=f"hermes-user-{name}", labels={}, created=created or 0.0)
        reaper.engine.containers[container.name] = container
        if created is None:
            object.__setattr__(container, "created", None)
    assert [orphan.done[:5] for orphan in orphans(reaper.context, remove=False)] == ["would", "left ", "would"]
    assert reaper.engine.did("stop") == []
    reaper.engine.fail["stop"] = FleetError("no")
    assert [orphan.failed for orphan in orphans(reaper.context, remove=True)] == [True, False, True]
    reaper.engine.fail.clear()
    list(orphans(reaper.context, remove=True))
    assert [name for name in reaper.engine.containers if "usr_" in name] == ["hermes-user-usr_2"]
