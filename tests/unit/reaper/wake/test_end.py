"""What becomes of those who wait for a family when the reaper ends."""

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
    """Wait for the family ash until the reaper ends, and for no second longer."""
    with pytest.raises(TimedOutError, match="ash: the reaper is ending"):
        Waker(reaper.context).ensure(reaper.context.families.current().get("ash"))
    assert reaper.clock.steady - 1000 < 1


def test_a_start_under_way_goes_on_without_the_reaper(sick: ReaperUnderTest) -> None:
    """What was started stays so, its leases are given back, and nobody is blamed for it."""
    sick.engine.before["start"] = sick.context.ended.set
    ask(sick)
    assert sick.engine.did("start") == [sick.container("ash").name]
    assert sick.container("ash").state == "running"
    assert sick.context.store.holders() == set()
    ash = sick.context.families.current().get("ash")
    assert sick.context.store.ledger(ash.id, 0.0, 20) == []


def test_nobody_is_started_by_a_reaper_that_ends(sick: ReaperUnderTest) -> None:
    """Whoever asks that late is refused at once; that they asked is kept for the next reaper."""
    sick.context.ended.set()
    ask(sick)
    assert sick.engine.calls == []
    ash = sick.context.families.current().get("ash")
    assert sick.context.store.row(ash.id).touched == sick.clock.wall


def test_nobody_is_stopped_by_a_reaper_that_ends(reaper: ReaperUnderTest) -> None:
    """A sweep's stops take minutes; once it is told to end, it asks and stops no one more."""
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
