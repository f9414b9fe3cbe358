"""Looks closely at one family: its container, its agent, and what is remembered of it."""

from dataclasses import dataclass, replace

from fleet.host import ContainerSummary
from fleet.host.activity import Activity
from fleet.registry import Family
from reaper.context import Context
from reaper.engine import ContainerDetails
from reaper.policy.facts import RUNNING, Facts, known_facts, policy_of
from reaper.policy.rules import Action, Decision, decide


@dataclass(frozen=True)
class Reading:
    """One look at a candidate: its container, its facts, and what follows from them."""

    info: ContainerDetails
    facts: Facts
    decision: Decision


def read_candidate(context: Context, family: Family, seen: ContainerSummary, grace_since: float) -> Reading:
    """Look at a running family's container and ask its agent, unless what is known keeps it awake anyway.

    Signs of life are read after the agent was asked, which takes the longest. Raises GoneError, FleetError, StoreError.
    """
    settings = context.settings
    policy = policy_of(family)
    info = context.engine.inspect(seen.id)
    activity: Activity | None = None
    while True:
        row = context.store.row(family.id)
        facts = known_facts(info, row, settings.stack, grace_since, leased=False)
        facts = replace(facts, up_since=info.started, activity=activity)
        decision = decide(context.clock.now(), facts, policy, settings.limits)
        if decision.action is not Action.PROBE:
            return Reading(info, facts, decision)
        activity = context.engine.activity(info.id)
        note_activity(context, family, info, activity, row.unread_since)


def note_activity(
    context: Context, family: Family, info: ContainerDetails, activity: Activity, unread_since: float | None
) -> None:
    """Write down what an agent said of itself."""
    for signal in activity.unread:
        context.metrics.unreadable.labels(signal).inc()
    values: dict[str, float | str | None] = {"healthy_id": info.id} if info.healthy else {}
    values |= {name: value for name, value in (("human", activity.human), ("message", activity.any)) if value}
    if "cron_next" not in activity.unread:
        values |= {"cron_next": activity.cron_next, "cron_of": info.id, "cron_unread": None}
    # What could not be read of an agent that has been started anew since says nothing of this one.
    of_this_life = unread_since is not None and unread_since >= (info.started or 0.0)
    since = unread_since if of_this_life else context.clock.now()
    context.store.update(family.id, unread_since=since if activity.unread else None, **values)


def read_facts(context: Context, family: Family, seen: ContainerSummary, grace_since: float) -> tuple[Facts, Decision]:
    """Return all facts about a family, its agent asked in any case, and the decision. Writes nothing."""
    info = context.engine.inspect(seen.id)
    leased = str(family.id) in context.store.holders()
    activity = context.engine.activity(info.id) if info.state == RUNNING else None
    row = context.store.row(family.id)
    facts = known_facts(info, row, context.settings.stack, grace_since, leased=leased)
    facts = replace(facts, up_since=info.started, activity=activity)
    decision = decide(context.clock.now(), facts, policy_of(family), context.settings.limits)
    return facts, decision
