"""What the benchmark of a roll makes of Docker's events."""

import pytest

from benchmarks import roll
from benchmarks.engine import BenchError
from benchmarks.roll import Rolled, Times

NAMES = ["a", "b", "c", "d"]


def test_a_roll_lasts_from_the_first_stop_to_the_last_healthy() -> None:
    """And is held against what Docker alone took, wave by wave."""
    times = dict(zip(NAMES, (Times(1.0, 6.0), Times(0.5, 6.5), Times(7.0, 12.0), Times(7.2, 12.0)), strict=True))
    assert roll.span(NAMES, times) == 11.5
    assert roll.failures(Rolled("image", [5.0, 5.0], 11.5)) == []
    (slow,) = roll.failures(Rolled("image", [5.0, 5.0], 11.8))
    assert "1.18 times" in slow


def test_waves_that_overlap_are_no_figure() -> None:
    """A gate that does not hold is a defect, not a fast roll."""
    times = dict(zip(NAMES, (Times(0.0, 5.5), Times(0.0, 5.5), Times(5.0, 9.0), Times(6.0, 9.0)), strict=True))
    with pytest.raises(BenchError, match="before"):
        roll.span(NAMES, times)
