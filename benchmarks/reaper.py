"""The reaper's figures, each with its agreed limit."""

from collections.abc import Iterable

from benchmarks import reaper_daemon, reaper_sweep
from benchmarks.reaper_figures import Figure


def measure(*, by_cpu: bool) -> list[Figure]:
    """Measure everything that this machine can: without a Docker daemon only what a recording stands in for.

    `by_cpu`: the machine did other work before this began, so wall time says little.
    """
    return [*reaper_sweep.measure(by_cpu=by_cpu), *reaper_daemon.measure(by_cpu=by_cpu)]


def failures(figures: Iterable[Figure]) -> list[str]:
    """Return what is over its limit."""
    return [each.failure() for each in figures if each.over]


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [["the reaper", "measured", "at most", ""], ["---"] * 4, *(each.row() for each in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
