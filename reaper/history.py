"""What happened to a family: lines of the ledger, since when one likes, repeated ones folded into one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fleet.errors import FleetError
from fleet.registry import Family
from reaper.store import Entry, Store

LINES = 20
_MOST = 10_000
_AGO = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Asked:
    """Which lines: the first ones since a time (epoch seconds), or the newest where none is given."""

    since: float | None = None
    lines: int = LINES


@dataclass(frozen=True)
class Line(Entry):
    """One line of the ledger; `local` is its time in the family's time zone.

    `more` lines like it came right after it, the last one at `until`, whose text and inputs these are.
    """

    local: str = ""
    more: int = 0
    until: str | None = None


def asked(since: str | None, lines: str | None, family: Family, now: float) -> Asked:
    """Return what somebody asked for in words. Raises FleetError where they cannot be understood.

    `since` is how long ago (`90m`, `12h`, `2d`), or a date, a time of today or both, in the family's time zone.
    """
    number = LINES
    if lines is not None:
        number = int(lines) if lines.isascii() and lines.isdecimal() and len(lines) < len(str(_MOST)) else 0
        if number == 0:
            raise FleetError(f"lines: {lines!r} is not a whole number from 1 to {_MOST - 1}")
    return Asked(None if since is None else _moment(since, ZoneInfo(family.timezone), now), number)


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
            f"since: {text!r} is no time; write how long ago, such as 90m, 12h or 2d, or a time such as 21:04, "
            f"2026-11-20 or 2026-11-20T21:04, which is in {zone.key}"
        ) from error


def history(store: Store, family: Family, which: Asked) -> list[Line]:
    """Return a family's lines, oldest first."""
    found = _folded(store.ledger(family.id, which.since or 0.0, _MOST), ZoneInfo(family.timezone))
    return found[-which.lines :] if which.since is None else found[: which.lines]


def line_of(line: Line) -> str:
    """Return a line for people, its time in the family's time zone and in UTC."""
    utc = "" if line.local.endswith("UTC") else f" ({datetime.fromtimestamp(line.at, UTC):%H:%M:%S} UTC)"
    said, end, below = line.text.partition("\n")
    more = f" … {line.more} more until {line.until}" if line.more else ""
    return f"{line.local}{utc}  {line.action:<12}  {line.reason:<14}  {said}{more}{end}{below}"


def _folded(entries: Iterable[Entry], zone: ZoneInfo) -> list[Line]:
    """Return lines, those that tell the same again as one: what fails again and again would hide all else."""
    lines: list[Line] = []
    for entry in entries:
        local = f"{datetime.fromtimestamp(entry.at, zone):%Y-%m-%d %H:%M:%S %Z}"
        if lines and _tells(lines[-1]) == _tells(entry):
            first = lines[-1]
            lines[-1] = replace(first, text=entry.text, inputs=entry.inputs, more=first.more + 1, until=local)
        else:
            lines.append(Line(**vars(entry), local=local))
    return lines


def _tells(entry: Entry) -> tuple[str, str, str]:
    """Return what a line says, the log lines below it aside."""
    return entry.action, entry.reason, entry.text.partition("\n")[0]
