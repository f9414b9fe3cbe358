"""The status page: rendered here, readable on a phone, without a line of script. Everything in it is escaped."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reaper import views
from reaper.context import Context
from reaper.views import View

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SEGMENTS = 48

_WORDS = {True: "awake", False: "asleep", None: "unknown"}


@cache
def _template() -> Any:  # noqa: ANN401 - a Jinja template
    folder = Path(__file__).parent / "pages"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("status.html.j2")


def render(context: Context) -> str:
    """Return the page as HTML. Raises FleetError and StoreError."""
    return render_views(
        views.view_all(context),
        {str(family): strip for family, strip in views.strips(context, SEGMENTS).items()},
        now=context.clock.now(),
        stack=context.settings.stack,
        problem=context.families.problem,
    )


def render_views(
    families: list[View], strips: dict[str, list[bool | None]], *, now: float, stack: str, problem: str | None
) -> str:
    """Return the page for these families."""
    unknown: list[bool | None] = [None] * SEGMENTS
    rows = [
        {
            "view": family,
            "since": views.ago(now, family.since),
            "last": views.ago(now, family.last),
            "cron": views.ago(now, family.cron_next),
            "strip": _runs(strips.get(family.id, unknown)),
            "awake_hours": strips.get(family.id, unknown).count(True) * 24 / SEGMENTS,
        }
        for family in families
    ]
    awake = sum(family.state == "awake" for family in families)
    values = {"rows": rows, "awake": awake, "stack": stack, "at": views.moment(now), "problem": problem}
    text: str = _template().render(segments=SEGMENTS, **values)
    return text


def _runs(strip: list[bool | None]) -> list[dict[str, Any]]:
    """Return a strip as runs of one state: where each begins, how long it is, and its word."""
    runs: list[dict[str, Any]] = []
    for at, state in enumerate(strip):
        if runs and runs[-1]["word"] == _WORDS[state]:
            runs[-1]["length"] += 1
        else:
            runs.append({"begin": at, "length": 1, "word": _WORDS[state]})
    return runs
