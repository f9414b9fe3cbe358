"""A family's history in `explain`, and the query for it."""

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
    """Return a reaper of the family ash in Berlin, stopped last evening, with a failed start every minute since."""
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


def test_repeated_failures_do_not_hide_the_stop(sick: ReaperUnderTest) -> None:
    """They are one line after the stop, in the family's time zone."""
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
    """However much happened since, as many as requested, with their facts in JSON."""
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
def test_times_are_in_the_familys_time_zone(sick: ReaperUnderTest, text: str, at: float) -> None:
    """A duration, a time of today, a date, or both; another zone if it is given."""
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
def test_an_invalid_query_is_reported(sick: ReaperUnderTest, since: str | None, lines: str | None, what: str) -> None:
    """With the value, and what is valid."""
    ash = sick.context.families.current().get("ash")
    with pytest.raises(FleetError, match=what):
        ledger_query(since, lines, ash, NOW)
