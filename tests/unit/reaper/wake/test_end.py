"""Callers who wait for a family when the reaper ends."""

import pytest

from reaper.wake.runtime import TimedOutError
from reaper.wake.waker import Waker
from tests.support.reaper.reaper import ReaperUnderTest
from tests.support.reaper.sweeps import settled


@pytest.fixture
def sick(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> ReaperUnderTest:
    """Let the family ash sleep, and never answer once it runs."""
    reaper.container("ash").state, reaper.container("ash").port = "exited", 4711
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: False)
    return reaper


def ask(reaper: ReaperUnderTest) -> None:
    """Wait for the family ash until the reaper ends, and less than a second longer."""
    with pytest.raises(TimedOutError, match="ash: the reaper is ending"):
        Waker(reaper.context).ensure(reaper.context.families.current().get("ash"))
    assert reaper.clock.steady - 1000 < 1


def test_a_start_under_way_goes_on_without_the_reaper(sick: ReaperUnderTest) -> None:
    """The container stays up, all leases are given back, and no failure is recorded."""
    sick.engine.before["start"] = sick.context.ended.set
    ask(sick)
    assert sick.engine.did("start") == [sick.container("ash").name]
    assert sick.container("ash").state == "running"
    assert sick.context.store.holders() == set()
    ash = sick.context.families.current().get("ash")
    assert sick.context.store.ledger(ash.id, 0.0, 20) == []


def test_a_reaper_that_ends_starts_no_family(sick: ReaperUnderTest) -> None:
    """A request that late fails at once; the activity is recorded for the next reaper."""
    sick.context.ended.set()
    ask(sick)
    assert sick.engine.calls == []
    ash = sick.context.families.current().get("ash")
    assert sick.context.store.row(ash.id).touched == sick.clock.wall


def test_a_reaper_that_ends_stops_no_family(reaper: ReaperUnderTest) -> None:
    """A sweep's stops take minutes; once the reaper ends, it probes and stops no further family."""
    found = settled(reaper)
    assert reaper.engine.did("stop")
    for container in reaper.engine.containers.values():
        container.state = "running"
    reaper.engine.calls.clear()
    reaper.engine.before["activity"] = reaper.context.ended.set
    for _ in range(4):
        reaper.clock.pass_time(600)
        found.sweep()
    assert reaper.engine.did("activity")
    assert reaper.engine.did("stop") == []
    reaper.engine.calls.clear()
    reaper.clock.pass_time(600)
    found.sweep()
    assert reaper.engine.did("activity") == []
