"""What the commands print."""

import json
from pathlib import Path

import pytest

from fleet.errors import FleetError
from reaper import cli
from reaper.store import Entry
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper


def run(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run one command."""
    monkeypatch.setattr(cli, "make_context", lambda *_, **__: reaper.context)
    return cli.main(words)


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
    assert run(reaper, monkeypatch, "status") == cli.ERROR
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("all is well") == 3
    assert all(character.isprintable() or character == "\n" for character in printed.out + printed.err)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", "ash is kept awake for 1800 s"),
        ("exited", "ash is asleep, and a touch wakes nobody; wake it with: python -m reaper ensure ash"),
        ("paused", "ash is paused, and a touch wakes nobody"),
        (None, "ash is missing, and a touch wakes nobody"),
    ],
)
def test_a_touch_says_what_is_true(
    reaper: ReaperUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str | None,
    said: str,
) -> None:
    """It keeps awake who is awake, and wakes nobody."""
    container = reaper.container("ash")
    if state:
        container.state = state
    else:
        del reaper.engine.containers[container.name]
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
