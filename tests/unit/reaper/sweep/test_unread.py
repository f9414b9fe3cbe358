"""What happens to a family whose agent cannot be probed, or not fully."""

from typing import Any

import pytest

from fleet.host.activity import nothing_read
from reaper.sweep.probe import read_candidate
from tests.support.reaper.reaper import ReaperUnderTest
from tests.support.reaper.sweeps import reasons, settled


def test_unread_signals_count_from_the_first_time(reaper: ReaperUnderTest) -> None:
    """An agent that does not answer is left running for six hours, then stopped; the store keeps the time."""
    reaper.container("ash").activity = nothing_read(0.0, "silent")
    found = settled(reaper)
    assert reasons(found.last)["ash"] == "unreadable"
    for _ in range(30):
        reaper.clock.pass_time(600)
        found.sweep()
    assert reaper.container("ash").state == "running"
    for _ in range(8):
        reaper.clock.pass_time(600)
        found.sweep()
    assert reaper.container("ash").state == "exited"


def test_the_six_hours_start_again_after_another_reason_kept_it_awake(reaper: ReaperUnderTest) -> None:
    """Six hours of heartbeats separate two failed probes: the second one starts the time limit again."""
    container, ash = reaper.container("ash"), reaper.context.families.current().get("ash")
    container.activity = nothing_read(0.0, "silent")
    found = settled(reaper)
    assert reasons(found.last)["ash"] == "unreadable"
    for _ in range(37):
        reaper.clock.pass_time(600)
        reaper.context.store.record_activity(ash.id, "heartbeat", reaper.clock.wall)
        found.sweep()
    for _ in range(4):
        reaper.clock.pass_time(600)
        found.sweep()
    assert reasons(found.last)["ash"] == "unreadable"
    assert reaper.engine.did("stop") == [reaper.container("birch").name]


def test_the_six_hours_start_again_with_each_start(reaper: ReaperUnderTest) -> None:
    """A family that was stopped unread and then woken gets six hours again."""
    container = reaper.container("ash")
    container.activity = nothing_read(0.0, "silent")
    found = settled(reaper)
    for _ in range(40):
        reaper.clock.pass_time(600)
        found.sweep()
    assert container.state == "exited"
    container.state, container.started = "running", reaper.clock.wall
    for _ in range(10):
        reaper.clock.pass_time(600)
        found.sweep()
    assert (container.state, reasons(found.last)["ash"]) == ("running", "unreadable")


def test_a_probe_that_raises_does_not_end_the_others(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any error with one family the rest of the batch is probed and stopped."""

    def broken(*args: Any) -> Any:
        if args[1].name == "ash":
            raise ZeroDivisionError
        return read_candidate(*args)

    monkeypatch.setattr("reaper.sweep.stop.read_candidate", broken)
    settled(reaper)
    assert reaper.engine.did("stop") == [reaper.container("birch").name]
