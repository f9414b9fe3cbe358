"""Sweeps of a reaper under test."""

from fleet import naming
from reaper.context import Context
from reaper.policy.facts import known_facts
from reaper.sweep.probe import Decided, decide_family
from reaper.sweep.report import Report
from reaper.sweep.sweeper import Sweeper
from reaper.wake.waker import Waker
from tests.support.reaper.reaper import ReaperUnderTest


def sweeper(reaper: ReaperUnderTest, *, dry_run: bool = False) -> Sweeper:
    """Return a new sweeper."""
    return Sweeper(reaper.context, Waker(reaper.context), dry_run=dry_run)


def settled(reaper: ReaperUnderTest) -> Sweeper:
    """Return a sweeper that has swept for long enough to stop idle families."""
    found = sweeper(reaper)
    found.sweep(resumed=False)
    for _ in range(4):
        reaper.clock.pass_time(600)
        found.sweep()
    return found


def candidate(context: Context, name: str) -> Decided:
    """Return a family's decision from a listing, with which a stop begins."""
    family = context.families.current().get(name)
    container = context.engine.list()[naming.container_name(family.id)]
    facts = known_facts(container, context.store.row(family.id), context.settings.stack, 0.0, leased=False)
    return decide_family(context, family, container.id, facts)


def reasons(report: Report) -> dict[str, str]:
    """Return the reason of every family's decision by its name."""
    return {outcome.family.name: outcome.decision.reason.code for outcome in report.outcomes.values()}
