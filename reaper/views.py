"""The families as people and programs see them: one line each, and the long answer to `why`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fleet import naming
from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper.context import Context
from reaper.history import Asked, history
from reaper.policy.facts import RUNNING, Facts, family_state, known_facts, last_activity, policy_of
from reaper.policy.rules import Action, decide, reasons, span
from reaper.store import Row
from reaper.sweep.probe import read_family

DAY_SECONDS = 86400


@dataclass(frozen=True)
class FamilyStatus:
    """One family now. Times are epoch seconds; `memory` is its limit in MiB."""

    name: str
    display_name: str
    id: str
    state: str
    since: float | None
    last: float | None
    signal: str
    cron_next: float | None
    memory: int
    url: str | None
    reason: str
    text: str


def grace_since(context: Context) -> float:
    """Return since when the reaper has looked without a break."""
    beat = context.store.beat()
    return beat.grace_since if beat else context.clock.now()


def statuses(context: Context) -> list[FamilyStatus]:
    """Return every family of the registry, in its order, from one listing and the store."""
    return list(_views(context, context.families.current().families))


def view(context: Context, family: Family) -> FamilyStatus:
    """Return one family."""
    return next(_views(context, [family]))


def _views(context: Context, families: Iterable[Family]) -> Iterator[FamilyStatus]:
    rows, holders, since = context.store.rows(), context.store.holders(), grace_since(context)
    listed = context.engine.list()
    for family in families:
        seen = listed.get(naming.container_name(family.id))
        row, leased = rows.get(family.id, Row()), str(family.id) in holders
        facts = known_facts(seen, row, context.settings.stack, since, leased=leased)
        yield _view(context, family, seen, row, facts)


def _view(context: Context, family: Family, seen: ContainerSummary | None, row: Row, facts: Facts) -> FamilyStatus:
    decision = decide(context.clock.now(), facts, policy_of(family), context.settings.limits)
    reason, text = decision.reason.code, decision.reason.text
    recorded = row.reason and row.text
    if recorded and (decision.action is Action.PROBE or (facts.state != RUNNING and reason == "asleep")):
        reason, text = row.reason or "", row.text or ""
    state, (last, signal) = family_state(facts.state), last_activity(row) or (None, "")
    port = seen.port if seen and state == "awake" else None
    return FamilyStatus(
        name=family.name,
        display_name=family.display_name,
        id=str(family.id),
        state="suspended" if family.state == "suspended" and state == "asleep" else state,
        since=row.state_since if row.state == state else None,
        last=last,
        signal=signal,
        cron_next=facts.cron_next,
        memory=family.resources.memory,
        url=f"http://{context.settings.url_host}:{port}" if port else None,
        reason=reason,
        text=text,
    )


def explain(context: Context, family: Family, asked: Asked | None = None) -> dict[str, Any]:
    """Return why a family is as it is: every reason that holds now, every signal, and lines of the ledger.

    A running family's agent is asked, whatever else is known.
    """
    now, since = context.clock.now(), grace_since(context)
    seen = context.engine.list().get(naming.container_name(family.id))
    if seen and seen.state == RUNNING:
        probed = read_family(context, family, seen.id, since)
        facts, decision = probed.facts, probed.decision
    else:
        leased = str(family.id) in context.store.holders()
        facts = known_facts(seen, context.store.row(family.id), context.settings.stack, since, leased=leased)
        decision = decide(now, facts, policy_of(family), context.settings.limits)
    holding = list(reasons(now, facts, policy_of(family), context.settings.limits)) if facts.state == RUNNING else []
    return {
        **vars(view(context, family)),
        "decision": decision.action.value,
        "reason": decision.reason.code,
        "text": decision.reason.text,
        "reasons": [{"reason": reason.code, "text": reason.text} for reason in holding],
        "facts": as_json(facts),
        "ledger": [as_json(line) for line in history(context.store, family, asked or Asked())],
    }


def strips(context: Context, segments: int) -> dict[UUID, list[bool | None]]:
    """Return each family's last day in equal parts: awake, asleep, or None where nothing is known."""
    now = context.clock.now()
    begin = now - DAY_SECONDS
    edges = [begin + DAY_SECONDS * (at + 1) / segments for at in range(segments)]
    return {family: _strip(of, edges) for family, of in context.store.changes(begin - DAY_SECONDS).items()}


def _strip(changes: list[tuple[float, bool]], edges: list[float]) -> list[bool | None]:
    strip: list[bool | None] = []
    at, state = 0, None
    for edge in edges:
        awake = bool(state)
        while at < len(changes) and changes[at][0] <= edge:
            state = changes[at][1]
            awake = awake or state
            at += 1
        strip.append(None if state is None else awake)
    return strip


def as_json(value: Any) -> Any:  # noqa: ANN401 - whatever a dataclass holds
    """Return a dataclass as plain values; UUIDs as text."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: as_json(getattr(value, name)) for name in value.__dataclass_fields__}
    return str(value) if isinstance(value, UUID) else value


def moment(at: float | None) -> str:
    """Return a time for people, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "-"


def ago(now: float, at: float | None) -> str:
    """Return how long ago a time was, or how far ahead it lies."""
    if at is None:
        return "-"
    return f"{span(now - at)} ago" if at <= now else f"in {span(at - now)}"
