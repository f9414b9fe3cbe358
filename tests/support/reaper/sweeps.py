"""A reaper's sweeps in a test."""

from reaper.sweep.report import Report
from reaper.sweep.sweeper import Sweeper
from reaper.wake.waker import Waker
from tests.support.reaper.reaper import ReaperUnderTest


def sweeper(reaper: ReaperUnderTest, *, dry_run: bool = False) -> Sweeper:
    """Return a sweeper of its own memory."""
    return Sweeper(reaper.context, Waker(reaper.context), dry_run=dry_run)


def settled(reaper: ReaperUnderTest) -> Sweeper:
    """Return a sweeper that has watched for long enough to stop somebody."""
    found = sweeper(reaper)
    found.sweep(resumed=False)
    for _ in range(4):
        reaper.clock.pass_time(600)
        found.sweep()
    return found


def reasons(report: Report) -> dict[str, str]:
    """Return the reason of every family's decision by its name."""
    return {outcome.family.name: outcome.decision.reason.code for outcome in report.outcomes.values()}
