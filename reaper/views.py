"""What the reaper shows of families: their status, the explanation of it, and their history from the ledger."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic_core import to_jsonable_python

from fleet import naming
from fleet.errors import FleetError
from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper.context import Context
from reaper.policy.facts import RUNNING, Facts, family_state, known_facts, last_activity, policy_of
from reaper.policy.rules import Action, Decision, Reason, decide, reasons, span
from reaper.store import Entry, Row, Store
from reaper.sweep.probe import read_family

DAY_SECONDS = 86400
LINES = 20
_MOST = 10_000
_AGO = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class FamilyStatus:
    """The status of one family. Times are epoch seconds; `memory` is the container's limit in MiB."""

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


@dataclass(frozen=True)
class LedgerQuery:
    """Selects the first `lines` since a time (epoch seconds), or the newest `lines` without one."""

    since: float | None = None
    lines: int = LINES


@dataclass(frozen=True)
class LedgerLine(Entry):
    """One line of the ledger; `local` is its time in the family's time zone.

    It stands for `more` equal lines that followed, the last at `until`; text and inputs are the last one's.
    """

    local: str = ""
    more: int = 0
    until: str | None = None


_Known = tuple[Family, ContainerSummary | None, Row, Facts]


def statuses(context: Context) -> list[FamilyStatus]:
    """Return the status of every family, in the registry's order. Raises FleetError and StoreError."""
    return [_status(context, *known) for known in _known(context, context.families.current().families)]


def status(context: Context, family: Family) -> FamilyStatus:
    """Return the status of one family. Raises FleetError and StoreError."""
    (known,) = _known(context, [family])
    return _status(context, *known)


def explain(context: Context, family: Family, query: LedgerQuery | None = None) -> dict[str, Any]:
    """Explain a family's state: every reason that holds now, every signal, and its history, as plain JSON values.

    Always probes the agent of a running family. Raises FleetError and StoreError.
    """
    (known,) = _known(context, [family])
    _, seen, _, facts = known
    decision, holding = _decide(context, family, facts), list[Reason]()
    if seen and facts.state == RUNNING:
        decided = read_family(context, family, seen.id, facts.grace_since)
        facts, decision = decided.facts, decided.decision
    if facts.state == RUNNING:
        holding = list(reasons(context.clock.now(), facts, policy_of(family), context.settings.limits))
    return {
        **vars(_status(context, *known)),
        "decision": decision.action.value,
        "reason": decision.reason.code,
        "text": decision.reason.text,
        "reasons": [{"reason": reason.code, "text": reason.text} for reason in holding],
        "facts": to_jsonable_python(facts),
        "ledger": to_jsonable_python(history(context.store, family, query or LedgerQuery())),
    }


def _known(context: Context, families: Iterable[Family]) -> Iterator[_Known]:
    """Yield what one listing and the store tell about each family."""
    rows, holders, beat = context.store.rows(), context.store.holders(), context.store.beat()
    grace_since = beat.grace_since if beat else context.clock.now()
    listed = context.engine.list()
    for family in families:
        seen = listed.get(naming.container_name(family.id))
        row, leased = rows.get(family.id, Row()), str(family.id) in holders
        yield family, seen, row, known_facts(seen, row, context.settings.stack, grace_since, leased=leased)


def _decide(context: Context, family: Family, facts: Facts) -> Decision:
    return decide(context.clock.now(), facts, policy_of(family), context.settings.limits)


def _status(context: Context, family: Family, seen: ContainerSummary | None, row: Row, facts: Facts) -> FamilyStatus:
    decision = _decide(context, family, facts)
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


def ledger_query(since: str | None, lines: str | None, family: Family, now: float) -> LedgerQuery:
    """Parse a user's query. Raises FleetError if a value is invalid.

    `since` is a duration (`90m`, `12h`, `2d`) before `now`, or a date, a time of today or both in the family's time
    zone; `lines` is an integer.
    """
    number = LINES
    if lines is not None:
        number = int(lines) if lines.isascii() and lines.isdecimal() and len(lines) < len(str(_MOST)) else 0
        if number == 0:
            raise FleetError(f"lines: {lines!r} is not an integer from 1 to {_MOST - 1}")
    return LedgerQuery(None if since is None else _moment(since, ZoneInfo(family.timezone), now), number)


def _moment(text: str, zone: ZoneInfo, now: float) -> float:
    ago = _AGO.fullmatch(text)
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}).total_seconds()
    try:
        today = datetime.fromtimestamp(now, zone).date()
        given = datetime.combine(today, time.fromisoformat(text)) if text[2:3] == ":" else datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError) as error:
        raise FleetError(
            f"since: {text!r} is not a time; write a duration such as 90m, 12h or 2d, or a time in {zone.key} such as "
            "21:04, 2026-11-20 or 2026-11-20T21:04"
        ) from error


def history(store: Store, family: Family, query: LedgerQuery) -> list[LedgerLine]:
    """Return the selected lines of a family's ledger, oldest first. Raises StoreError."""
    found = _folded(store.ledger(family.id, query.since or 0.0, _MOST), ZoneInfo(family.timezone))
    return found[-query.lines :] if query.since is None else found[: query.lines]


def format_line(line: LedgerLine) -> str:
    """Format a line for the terminal, with its time in the family's time zone and in UTC."""
    utc = "" if line.local.endswith("UTC") else f" ({datetime.fromtimestamp(line.at, UTC):%H:%M:%S} UTC)"
    said, end, below = line.text.partition("\n")
    more = f" … {line.more} more until {line.until}" if line.more else ""
    return f"{line.local}{utc}  {line.action:<12}  {line.reason:<14}  {said}{more}{end}{below}"


def _folded(entries: Iterable[Entry], zone: ZoneInfo) -> list[LedgerLine]:
    """Fold equal lines that follow each other into one, so that a repeated failure does not hide the rest."""
    lines: list[LedgerLine] = []
    for entry in entries:
        local = f"{datetime.fromtimestamp(entry.at, zone):%Y-%m-%d %H:%M:%S %Z}"
        if lines and _message(lines[-1]) == _message(entry):
            first = lines[-1]
            lines[-1] = replace(first, text=entry.text, inputs=entry.inputs, more=first.more + 1, until=local)
        else:
            lines.append(LedgerLine(**vars(entry), local=local))
    return lines


def _message(entry: Entry) -> tuple[str, str, str]:
    """Return what makes two lines equal: action, reason, and the text without the log lines below it."""
    return entry.action, entry.reason, entry.text.partition("\n")[0]


def strips(context: Context, segments: int) -> dict[UUID, list[bool | None]]:
    """Return each family's last day in equal parts: awake (True), asleep (False), or None where unknown."""
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


def moment(at: float | None) -> str:
    """Format an epoch time in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "-"


def ago(now: float, at: float | None) -> str:
    """Format an epoch time as a duration before or after `now`."""
    if at is None:
        return "-"
    return f"{span(now - at)} ago" if at <= now else f"in {span(at - now)}"
