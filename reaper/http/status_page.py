"""The status page: rendered here, readable on a phone, without a line of script. Everything in it is escaped."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reaper import views
from reaper.context import Context
from reaper.policy.rules import span
from reaper.views import DAY_SECONDS, FamilyStatus

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SEGMENTS = 48
# In the order in which the page counts them.
STATES = ("awake", "asleep", "suspended", "missing", "stranger", "restarting", "paused")

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
    """Return the page as HTML. Raises FleetError and StoreError."""
    return render_views(
        views.statuses(context),
        {str(family): strip for family, strip in views.strips(context, SEGMENTS).items()},
        now=context.clock.now(),
        stack=context.settings.stack,
        problem=context.families.problem,
    )


def render_views(
    families: list[FamilyStatus], strips: dict[str, Strip], *, now: float, stack: str, problem: str | None
) -> str:
    """Return the page for these families."""
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
        "view": family,
        "since": span(max(0.0, now - family.since)) if family.since else "",
        "last": views.ago(now, family.last),
        "cron": views.ago(now, family.cron_next),
        "memory": _memory(family.memory),
        "strip": _runs(strip),
        "told": f"awake for {strip.count(True) * 24 / SEGMENTS:g} of the {known:g} hours known of the last 24",
    }


def _completed(strip: Strip, family: FamilyStatus, now: float) -> Strip:
    """Return a strip with what its family's state tells: one that has not changed for days has no line to show."""
    if family.since is None:
        return strip
    awake = family.state == "awake"
    ends = (now - DAY_SECONDS * (1 - (at + 1) / SEGMENTS) for at in range(SEGMENTS))
    return [awake if state is None and end > family.since else state for state, end in zip(strip, ends, strict=True)]


def _runs(strip: Strip) -> list[dict[str, Any]]:
    """Return a strip as runs of one state: where each begins, how long it is, and its word."""
    runs: list[dict[str, Any]] = []
    for at, state in enumerate(strip):
        if runs and runs[-1]["word"] == _WORDS[state]:
            runs[-1]["length"] += 1
        else:
            runs.append({"begin": at, "length": 1, "word": _WORDS[state]})
    return runs


def _memory(mib: int) -> str:
    return f"{mib / _MIB_PER_GIB:g} GiB" if mib % (_MIB_PER_GIB // 2) == 0 else f"{mib} MiB"
