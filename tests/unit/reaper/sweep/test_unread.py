"""What becomes of a family whose agent cannot be asked, or not in full."""

from typing import Any

import pytest

from fleet.host.activity import nothing_read
from reaper.sweep.probe import read_candidate
from tests.support.reaper.reaper import ReaperUnderTest
from tests.support.reaper.sweeps import reasons, settled


def test_unread_signals_count_from_the_first_time(reaper: ReaperUnderTest) -> None:
    """A silent agent is left running for six hours, then stopped; the time is kept in the store."""
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


def test_what_could_not_be_read_once_does_not_count_while_others_speak_for_the_family(reaper: ReaperUnderTest) -> None:
    """Six hours of heartbeats lie between two readings that failed: the second is the first of its own."""
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


def test_what_could_not_be_read_in_an_earlier_life_does_not_count(reaper: ReaperUnderTest) -> None:
    """A family that was stopped unread, and woken, has its six hours anew."""
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


def test_one_reading_that_breaks_does_not_end_the_others(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with one family, the rest of the batch is asked and stopped."""

    def broken(*args: Any) -> Any:
        if args[1].name == "ash":
            raise ZeroDivisionError
        return read_candidate(*args)

    monkeypatch.setattr("reaper.sweep.candidates.read_candidate", broken)
    settled(reaper)
    assert reaper.engine.did("stop") == [reaper.container("birch").name]
