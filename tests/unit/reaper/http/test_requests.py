"""Heartbeats and single-flight `ensure`, on the event loop."""

import asyncio
import threading
import time
from typing import Any

import pytest

from fleet.errors import FleetError
from reaper.http.requests import Heartbeat, Requests
from reaper.wake.runtime import NotProvisionedError, Runtime
from reaper.wake.waker import Waker
from tests.support.reaper.reaper import ReaperUnderTest


@pytest.fixture
def asleep(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> ReaperUnderTest:
    """Let the family ash sleep, and answer as soon as it runs."""
    reaper.container("ash").state, reaper.container("ash").port = "exited", 4711
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    return reaper


def beat(reaper: ReaperUnderTest, waker: Waker) -> Runtime:
    """Send a heartbeat of the family ash."""
    heartbeat = Heartbeat(reaper.context, waker, reaper.context.families.current().get("ash"))
    assert heartbeat.step() is None
    answer = heartbeat.step()
    assert answer
    return answer


def test_a_heartbeat_in_the_gap_of_a_roll_wakes_the_family(asleep: ReaperUnderTest) -> None:
    """Between the old container and the new one it is waking; a family that never had one is not provisioned."""
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


def test_a_heartbeat_never_waits(asleep: ReaperUnderTest) -> None:
    """It is answered at once, and the family is woken in the background."""
    waker, ash = Waker(asleep.context), asleep.context.families.current().get("ash")
    assert beat(asleep, waker).state == "waking"
    waker.wait()
    assert beat(asleep, waker).state == "awake"
    assert asleep.context.store.row(ash.id).heartbeat == asleep.clock.wall


def test_a_caller_who_hangs_up_does_not_end_the_others_wait(asleep: ReaperUnderTest) -> None:
    """The operation they share goes on, and starts the family once."""
    starting, go = threading.Event(), threading.Event()

    def start() -> None:
        starting.set()
        assert go.wait(20)

    asleep.engine.before["start"] = start
    requests, ash = Requests(asleep.context, Waker(asleep.context)), asleep.context.families.current().get("ash")

    async def call() -> Runtime:
        callers = [asyncio.create_task(requests.ensure(ash)) for _ in range(3)]
        await asyncio.to_thread(starting.wait, 20)
        callers[0].cancel()
        await asyncio.wait([callers[0]])
        go.set()
        first, second = await asyncio.gather(*callers[1:])
        assert first is second
        return first

    assert asyncio.run(call()).woken
    assert asleep.engine.did("start") == [asleep.container("ash").name]


def test_a_store_that_is_slow_costs_no_heartbeat_its_answer(
    asleep: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only Docker has to answer in time: the heartbeat is recorded first, however long that takes."""
    monkeypatch.setattr("reaper.http.requests._HEARTBEAT_SECONDS", 0.3)
    waker, ash = Waker(asleep.context), asleep.context.families.current().get("ash")
    record = asleep.context.store.record_activity

    def slowly(*args: Any) -> Any:
        time.sleep(0.5)
        return record(*args)

    monkeypatch.setattr(asleep.context.store, "record_activity", slowly)
    requests = Requests(asleep.context, waker)
    assert asyncio.run(requests.heartbeat(ash)).state == "waking"
    waker.wait()
    asleep.engine.before["inspect"] = lambda: time.sleep(0.6)
    with pytest.raises(FleetError, match="no answer for a heartbeat"):
        asyncio.run(requests.heartbeat(ash))
