"""What the benchmark of a roll makes of Docker's events."""

import pytest

from benchmarks import roll
from benchmarks.engine import BenchError
from benchmarks.roll import Rolled, Times


def times(stopping: float) -> Times:
    """Return a family that takes one second to stop, half a second to be made anew, and four to turn healthy."""
    return Times(stopping, stopping + 1, stopping + 1.5, stopping + 5.5)


def test_a_roll_is_held_against_its_slowest_families() -> None:
    """Per wave the slowest counts, without what lies between stop and start; all else is the fleet's own."""
    names = ["a", "b", "c", "d"]
    found = dict(zip(names, (times(0.0), times(0.2), times(7.0), times(7.0)), strict=True))
    found["b"].healthy += 1
    waves, seconds = roll.waves_of(names, found)
    assert (waves, seconds) == ([6.0, 5.0], 12.5)
    assert roll.failures(Rolled("image", waves, seconds)) == []
    (slow,) = roll.failures(Rolled("image", waves, 13.0))
    assert "1.18 times" in slow


def test_waves_that_overlap_are_no_figure() -> None:
    """A gate that does not hold is a defect, not a fast roll."""
    found = dict(zip("abcd", (times(0.0), times(0.0), times(5.0), times(5.0)), strict=True))
    with pytest.raises(BenchError, match="before"):
        roll.waves_of("abcd", found)
