"""The status page: without scripts, readable on a phone, with every value escaped."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reaper import views
from reaper.context import Context
from reaper.policy.facts import MISSING, UNMANAGED
from reaper.policy.rules import span
from reaper.views import DAY_SECONDS, FamilyStatus

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SEGMENTS = 48
# In the order of the page's counts.
STATES = ("awake", "asleep", "suspended", MISSING, UNMANAGED, "restarting", "paused")

Strip = list[bool | None]

_WORDS = {True: "awake", False: "asleep", None: "unknown"}
_MIB_PER_GIB = 1024


@cache
def _template() -> Any:  # noqa: ANN401 - a Jinja template
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("status.html.j2")


def render(context: Context) -> str:
    """Return the page of this reaper's families as HTML. Raises FleetError and StoreError."""
    return render_families(
        views.statuses(context),
        {str(family): strip for family, strip in views.strips(context, SEGMENTS).items()},
        now=context.clock.now(),
        stack=context.settings.stack,
        problem=context.families.problem,
    )


def render_families(
    families: list[FamilyStatus], strips: dict[str, Strip], *, now: float, stack: str, problem: str | None
) -> str:
    """Return the page of these families; `strips` is their last day by UUID, `problem` the registry's error."""
    found = Counter(family.state for family in families)
    text: str = _template().render(
        rows=[_row(family, strips.get(family.id, [None] * SEGMENTS), now) for family in families],
        counts={state: found[state] for state in STATES if found[state]},
        states=STATES,
        segments=SEGMENTS,
        awake=found["awake"],
        stack=stack,
        at=views.moment(now),
        problem=problem,
    )
    return text


def _row(family: FamilyStatus, strip: Strip, now: float) -> dict[str, Any]:
    strip = _completed(strip, family, now)
    known = sum(state is not None for state in strip) * 24 / SEGMENTS
    return {
        "family": family,
        "since": span(max(0.0, now - family.since)) if family.since else "",
        "last": views.ago(now, family.last),
        "cron": views.ago(now, family.cron_next),
        "memory": _memory(family.memory),
        "strip": _runs(strip),
        "told": f"awake for {strip.count(True) * 24 / SEGMENTS:g} of the {known:g} hours known of the last 24",
    }


def _completed(strip: Strip, family: FamilyStatus, now: float) -> Strip:
    """Fill in what the family's state tells: the ledger has no line of the last day for a state that lasted longer."""
    if family.since is None:
        return strip
    awake = family.state == "awake"
    ends = (now - DAY_SECONDS * (1 - (at + 1) / SEGMENTS) for at in range(SEGMENTS))
    return [awake if state is None and end > family.since else state for state, end in zip(strip, ends, strict=True)]


def _runs(strip: Strip) -> list[dict[str, Any]]:
    """Return a strip as runs of one state, each with its begin, length and word."""
    runs: list[dict[str, Any]] = []
    for at, state in enumerate(strip):
        if runs and runs[-1]["word"] == _WORDS[state]:
            runs[-1]["length"] += 1
        else:
            runs.append({"begin": at, "length": 1, "word": _WORDS[state]})
    return runs


def _memory(mib: int) -> str:
    return f"{mib / _MIB_PER_GIB:g} GiB" if mib % (_MIB_PER_GIB // 2) == 0 else f"{mib} MiB"
