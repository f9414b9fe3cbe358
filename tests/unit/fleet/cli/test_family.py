"""What the commands on one family print."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from fleet.cli import ERROR, main
from fleet.errors import FleetError
from reaper.store import Entry
from reaper.store.database import StoreError
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper


def run(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run one command."""
    monkeypatch.setattr("fleet.cli.reaper.make_context", lambda *_, **__: reaper.context)
    return main(words)


def test_nothing_that_is_printed_moves_the_terminal(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever an agent had a hand in is printed without its escapes, as text, as JSON and as an error."""
    ash = reaper.context.families.current().get("ash")
    evil = "\x1b]0;owned\x07\x9b2Jall is well"
    reaper.context.store.append([Entry(reaper.clock.wall, ash.id, "keep", "unreadable", evil)])
    assert run(reaper, monkeypatch, "explain", "ash") == 0
    assert run(reaper, monkeypatch, "explain", "ash", "--json") == 0
    reaper.engine.fail["list"] = FleetError(evil)
    assert run(reaper, monkeypatch, "status") == ERROR
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("all is well") == 3
    assert all(character.isprintable() or character == "\n" for character in printed.out + printed.err)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", "ash is kept awake for 1800 s"),
        ("exited", "ash is asleep, and a touch wakes no family; fix: hermes-fleet ensure ash"),
        ("paused", "ash is paused, and a touch wakes no family"),
        (None, "ash is missing, and a touch wakes no family"),
    ],
)
def test_a_touch_says_what_is_true(
    reaper: ReaperUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str | None,
    said: str,
) -> None:
    """It keeps an awake family awake, and wakes none."""
    box = reaper.container("ash")
    if state:
        box.state = state
    else:
        del reaper.engine.containers[box.name]
    assert run(reaper, monkeypatch, "touch", "ash") == 0
    assert capsys.readouterr().out == f"{said}\n"


def test_a_touch_needs_no_daemon_and_says_that_a_suspended_family_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written down all the same."""
    reaper = make_reaper(tmp_path, [family("ash"), family("birch", state="suspended")])
    reaper.engine.fail["list"] = FleetError("docker: away")
    for name, said in (("ash", "in a state that cannot be read (docker: away)"), ("birch", "suspended")):
        assert run(reaper, monkeypatch, "touch", name, "--json") == 0
        assert json.loads(capsys.readouterr().out)["state"] == said
        assert reaper.context.store.row(reaper.context.families.current().get(name).id).touched == reaper.clock.wall


def test_a_table_of_all_families(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its state and the first line of the reason for it."""
    assert run(reaper, monkeypatch, "status") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "STATE", "SINCE", "LAST", "NEXT", "JOB", "MEMORY", "URL", "WHY"]
    assert [row.split()[0] for row in rows] == [family.name for family in reaper.context.families.current().families]


def test_the_nearest_family_is_offered(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For every command on a family."""
    for command in ("explain", "ensure", "touch", "token"):
        assert run(reaper, monkeypatch, command, "ahs") == ERROR
        assert "; did you mean 'ash'?" in capsys.readouterr().err


def test_settings_of_another_stack_are_refused(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys, store and containers belong to one stack; its name may be given, qualified too."""
    own = reaper.context.settings.stack
    assert run(reaper, monkeypatch, "token", "ash", "--stack", f"acme/{own}") == 0
    assert run(reaper, monkeypatch, "token", "ash", "--stack", "other") == ERROR
    assert f"the reaper's settings here are for stack {own}" in capsys.readouterr().err


def test_a_store_that_fails_is_a_message(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a traceback."""
    monkeypatch.setattr(reaper.context.store, "rows", Mock(side_effect=StoreError("the disk is full")))
    assert run(reaper, monkeypatch, "status") == ERROR
    assert capsys.readouterr().err == "the disk is full\n"
