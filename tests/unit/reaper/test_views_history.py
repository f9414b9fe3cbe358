"""What `explain` tells of the past, and how one asks for it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.errors import FleetError
from reaper import views
from reaper.store import Entry
from reaper.views import LedgerQuery, format_line, history, ledger_query
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC).timestamp()
LONG_AGO = datetime(2026, 11, 20, 20, 4, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def sick(tmp_path: Path) -> ReaperUnderTest:
    """Return a reaper of the family ash in Berlin, stopped last evening and since then started in vain every minute."""
    reaper = make_reaper(tmp_path, [family("ash", timezone="Europe/Berlin")])
    reaper.clock.wall = NOW
    ash = reaper.context.families.current().get("ash").id
    failed = [
        Entry(LONG_AGO + 60 * minute, ash, "start_failed", "heartbeat", f"did not answer\nlast log lines:\n{minute}")
        for minute in range(1, 101)
    ]
    stop = Entry(LONG_AGO, ash, "stop", "idle", "no sign of life for 30 min", "c", {"heartbeat": 5.0})
    others = [Entry(LONG_AGO - 60 * at, ash, "keep", f"reason{at}", "") for at in range(30, 0, -1)]
    reaper.context.store.append([*others, stop, *failed])
    return reaper


def test_why_ours_was_stopped_last_evening(sick: ReaperUnderTest) -> None:
    """What failed again and again is one line, and the stop before it is seen, in the time of the family's clocks."""
    ash = sick.context.families.current().get("ash")
    lines = history(sick.context.store, ash, LedgerQuery())
    assert len(lines) == 20
    assert format_line(lines[-2]) == (
        "2026-11-20 21:04:12 CET (20:04:12 UTC)  stop          idle            no sign of life for 30 min"
    )
    assert (lines[-1].more, lines[-1].until) == (99, "2026-11-20 22:44:12 CET")
    told = format_line(lines[-1]).splitlines()
    assert told[0].endswith("did not answer … 99 more until 2026-11-20 22:44:12 CET")
    assert told[1:] == ["last log lines:", "100"]


def test_lines_since_a_time_are_the_first_ones(sick: ReaperUnderTest) -> None:
    """However much happened since, and as many as are asked for; with their facts in JSON."""
    ash = sick.context.families.current().get("ash")
    which = ledger_query("2026-11-20T21:00", "5", ash, NOW)
    told = views.explain(sick.context, ash, which)["ledger"]
    assert [line["action"] for line in told] == ["keep"] * 4 + ["stop"]
    assert (told[-1]["at"], told[-1]["local"]) == (LONG_AGO, "2026-11-20 21:04:12 CET")
    assert told[-1]["inputs"] == {"heartbeat": 5.0}
    assert len(history(sick.context.store, ash, ledger_query(None, "3", ash, NOW))) == 3


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90m", NOW - 5400),
        ("12h", NOW - 43_200),
        ("2d", NOW - 172_800),
        ("999999d", NOW - 999_999 * 86_400.0),
        ("07:30", NOW - 5400),
        ("2026-11-21", NOW - 32_400),
        ("2026-11-21 08:00", NOW - 3600),
        ("2026-11-21T08:00:00+00:00", NOW),
    ],
)
def test_times_are_the_familys(sick: ReaperUnderTest, text: str, at: float) -> None:
    """How long ago, a time of today, a date, or both; another zone where it is said."""
    assert ledger_query(text, None, sick.context.families.current().get("ash"), NOW).since == at


@pytest.mark.parametrize(
    ("since", "lines", "what"),
    [
        ("yesterday", None, r"since: 'yesterday' is not a time; write a duration such as 90m.*Europe/Berlin"),
        ("25:00", None, "is not a time"),
        (None, "0", "lines: '0' is not an integer from 1 to 9999"),
        (None, "many", "lines: 'many'"),
        (None, "-5", "lines"),
    ],
)
def test_what_cannot_be_understood_says_so(
    sick: ReaperUnderTest, since: str | None, lines: str | None, what: str
) -> None:
    """With what was given, and what would be right."""
    ash = sick.context.families.current().get("ash")
    with pytest.raises(FleetError, match=what):
        ledger_query(since, lines, ash, NOW)
