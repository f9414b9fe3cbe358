"""Makes the decision for one family: from a listing, or from its inspected container and its agent's answer."""

from dataclasses import asdict, dataclass, replace
from typing import Self

from fleet.host.activity import Activity
from fleet.registry import Family
from reaper.context import Context
from reaper.engine import ContainerDetails
from reaper.policy.facts import RUNNING, Facts, known_facts, policy_of
from reaper.policy.rules import Action, Decision, decide
from reaper.store import Entry


@dataclass(frozen=True)
class Decided:
    """A family's facts, what follows from them, and what was done about it in words; empty where nothing was to do.

    `container_id` is empty if the family has no container.
    """

    family: Family
    container_id: str
    facts: Facts
    decision: Decision
    done: str = ""

    def outcome(self, done: str) -> Self:
        """Return the same decision with what was done about it."""
        return replace(self, done=done)

    def entry(self, at: float, action: str) -> Entry:
        """Return the ledger's line about an action at a time (epoch seconds), with the reason and the facts."""
        reason = self.decision.reason
        return Entry(at, self.family.id, action, reason.code, reason.text, self.container_id, asdict(self.facts))


def decide_family(context: Context, family: Family, container_id: str, facts: Facts) -> Decided:
    """Return the decision that follows from a family's facts now; `probe` where its agent has to be asked first."""
    decision = decide(context.clock.now(), facts, policy_of(family), context.settings.limits)
    return Decided(family, container_id, facts, decision)


def read_candidate(context: Context, family: Family, container_id: str, grace_since: float) -> Decided:
    """Inspect a running family's container and probe its agent, unless a known reason keeps it awake anyway.

    The store is read after the probe, which takes the longest. Raises GoneError, FleetError, StoreError.
    """
    details = context.engine.inspect(container_id)
    activity: Activity | None = None
    while True:
        row = context.store.row(family.id)
        facts = known_facts(details, row, context.settings.stack, grace_since, leased=False)
        decided = decide_family(context, family, details.id, replace(facts, activity=activity))
        if decided.decision.action is not Action.PROBE:
            return decided
        activity = context.engine.activity(details.id)
        _record(context, family, details, activity, row.unread_since)


def read_family(context: Context, family: Family, container_id: str, grace_since: float) -> Decided:
    """Inspect a family's container and probe its agent if it runs, whatever else is known. Writes nothing.

    Raises GoneError, FleetError, StoreError.
    """
    details = context.engine.inspect(container_id)
    row, leased = context.store.row(family.id), str(family.id) in context.store.holders()
    activity = context.engine.activity(details.id) if details.state == RUNNING else None
    facts = known_facts(details, row, context.settings.stack, grace_since, leased=leased)
    return decide_family(context, family, details.id, replace(facts, activity=activity))


def _record(
    context: Context, family: Family, details: ContainerDetails, activity: Activity, unread_since: float | None
) -> None:
    """Store an agent's answer."""
    for signal in activity.unread:
        context.metrics.unreadable.labels(signal).inc()
    values: dict[str, float | str | None] = {"healthy_id": details.id} if details.healthy else {}
    values |= {name: value for name, value in (("human", activity.human), ("message", activity.any)) if value}
    if "cron_next" not in activity.unread:
        values |= {"cron_next": activity.cron_next, "cron_of": details.id, "cron_unread": None}
    # Signals that were unreadable before the container last started say nothing about this run of it.
    of_this_run = unread_since is not None and unread_since >= (details.started or 0.0)
    since = unread_since if of_this_run else context.clock.now()
    context.store.update(family.id, unread_since=since if activity.unread else None, **values)
