"""The status page, `explain`, and the registry's state."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import Mock

import pytest

from fleet.errors import FleetError
from reaper import views
from reaper.http import status_page
from reaper.registry import Families
from reaper.store import Entry
from reaper.views import FamilyStatus
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper, write_registry

HOUR = 3600.0


class Elements(HTMLParser):
    """Counts elements, and fails on one that a page must not have."""

    def __init__(self) -> None:
        """Start without elements."""
        super().__init__()
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element."""
        assert tag not in {"script", "iframe", "img"}
        assert not any(name.startswith("on") for name, _ in attrs)
        self.count[tag] = self.count.get(tag, 0) + 1


def test_explain_says_why_a_family_was_stopped(reaper: ReaperUnderTest) -> None:
    """The ledger's lines come with the facts of the decision."""
    ash = reaper.context.families.current().get("ash")
    entry = Entry(reaper.clock.wall - 60, ash.id, "stop", "idle", "no sign of life for 30 min", "c", {"heartbeat": 5.0})
    reaper.context.store.append([entry])
    reaper.container("ash").state = "exited"
    told = views.explain(reaper.context, ash)
    assert told["ledger"][-1]["inputs"] == {"heartbeat": 5.0}
    assert (told["state"], told["decision"], told["reason"]) == ("asleep", "keep", "asleep")


def test_explain_gives_every_reason_of_a_running_family(reaper: ReaperUnderTest) -> None:
    """Not only the first one, and its agent is probed although a heartbeat is enough."""
    ash = reaper.context.families.current().get("ash")
    reaper.context.store.record_activity(ash.id, "heartbeat", reaper.clock.wall)
    told = views.explain(reaper.context, ash)
    assert [reason["reason"] for reason in told["reasons"]] == ["heartbeat", "grace"]
    assert reaper.engine.did("activity") == [reaper.container("ash").name]


def test_a_strip_is_the_last_day(reaper: ReaperUnderTest) -> None:
    """Unknown before the first line; a part of the day with any time awake is awake."""
    ash = reaper.context.families.current().get("ash").id
    now = reaper.clock.wall
    lines = [(20, "seen", "awake"), (10, "stop", "idle"), (4.5, "start", "ensure"), (4.2, "stop", "idle")]
    lines[2:2] = [(9, "seen", "restarting"), (8, "keep", "awake")]  # neither means that it is up
    reaper.context.store.append([Entry(now - hours * HOUR, ash, action, reason, "") for hours, action, reason in lines])
    strip = views.strips(reaper.context, 24)[ash]
    assert strip[:3] == [None] * 3
    assert strip[4:13] == [True] * 9
    assert strip[14:19] == [False] * 5
    assert strip[19] is True
    assert strip[20:] == [False] * 4


def test_the_page_shows_two_hundred_families_escaped() -> None:
    """Each is on it once, whatever its name, and nothing on it runs."""
    evil = "<script>alert('x')</script> & \"co\""
    found = [
        FamilyStatus(
            f"f{at}",
            evil,
            str(at),
            "awake" if at % 2 else "asleep",
            5.0,
            9.0,
            "heartbeat",
            None,
            2048,
            None,
            "idle",
            evil,
        )
        for at in range(200)
    ]
    text = status_page.render_families(
        found, {"1": [True, False] * 24}, now=99.0, stack="s<b>", problem="families.yaml:1:1: <i>"
    )
    elements = Elements()
    elements.feed(text)
    assert elements.count["svg"] == elements.count["tr"] - 1 == 200
    assert "100 of 200 families awake" in text
    assert "<b>" not in text
    assert "<i>" not in text
    assert 'name="viewport"' in text


def test_a_strip_is_known_since_the_state_began() -> None:
    """A family that has been awake for days has no line of the last day, and is awake in all of it."""
    day = 86400.0
    steady = FamilyStatus("ash", "Ash", "1", "awake", 2 * day, None, "", None, 1536, None, "never", "it never sleeps")
    late = replace(steady, name="birch", id="2", state="asleep", since=10.75 * day, memory=1000)
    text = status_page.render_families([steady, late], {}, now=11 * day, stack="s", problem=None)
    assert "awake for 24 of the 24 hours known" in text
    assert "awake for 0 of the 6 hours known" in text
    assert '<td class="fact" data-label="memory">1.5 GiB</td>' in text
    assert '<td class="fact" data-label="memory">1000 MiB</td>' in text


def test_the_page_of_an_empty_registry(tmp_path: Path) -> None:
    """No families is a sentence, not an error."""
    assert "The registry has no families." in status_page.render(make_reaper(tmp_path, []).context)


def test_the_last_valid_registry_stays_in_force(tmp_path: Path) -> None:
    """A mistake in the file stops and loses no family; the corrected file is read."""
    families = Families(write_registry(tmp_path, [family("ash")]))
    (tmp_path / "families.yaml").write_text("families: [{name: 5}]")
    assert [each.name for each in families.current().families] == ["ash"]
    assert "families.yaml" in (families.problem or "")
    write_registry(tmp_path, [family("ash"), family("birch")])
    assert [each.name for each in families.current().families] == ["ash", "birch"]
    assert families.problem is None


def test_an_error_of_the_reader_is_a_problem_of_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported like a mistake in the file, until the file changes."""
    families = Families(write_registry(tmp_path, [family("ash")]))
    write_registry(tmp_path, [family("ash"), family("birch")])
    monkeypatch.setattr("reaper.registry.load_registry", Mock(side_effect=IndexError("list index out of range")))
    for _ in range(2):
        assert [each.name for each in families.current().families] == ["ash"]
        assert "IndexError" in (families.problem or "")
    monkeypatch.undo()
    write_registry(tmp_path, [family("cedar")])
    assert [each.name for each in families.current().families] == ["cedar"]
    assert families.problem is None


def test_a_registry_that_is_invalid_from_the_start_is_an_error(tmp_path: Path) -> None:
    """There is no valid one to keep."""
    (tmp_path / "families.yaml").write_text("families: 5")
    with pytest.raises(FleetError):
        Families(tmp_path / "families.yaml")
