"""What the commands on the reaper print, and their exit codes."""

import json
from unittest.mock import Mock

import pytest

from fleet.cli import ERROR, main
from fleet.errors import FleetError
from reaper.http import server
from tests.support.reaper.reaper import ReaperUnderTest


def run(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run one command of `hermes-fleet reaper`."""
    monkeypatch.setattr("fleet.cli.reaper.make_context", lambda *_, **__: reaper.context)
    return main(["reaper", *words])


def test_a_sweep_tells_what_it_did(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every family with action and reason, as a table or as JSON; a host that does not answer is an error."""
    assert run(reaper, monkeypatch, "sweep", "--dry-run") == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "ACTION", "REASON", "TEXT", "DONE"]
    assert first.startswith("ash")
    assert run(reaper, monkeypatch, "sweep", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["families"][0]["name"] == "ash"
    reaper.engine.fail["list"] = FleetError("docker: away")
    assert run(reaper, monkeypatch, "sweep") == ERROR
    assert capsys.readouterr().err == "docker: away\n"


def test_a_restart_shows_its_waves_first(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --dry-run no container is touched; new credentials need another command, which is said."""
    reaper.container("ash").state = "running"
    assert run(reaper, monkeypatch, "restart", "--dry-run") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("wave 0: ash")
    assert "pulumi up" in printed.err


def test_no_orphans_are_said(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or an empty list."""
    assert run(reaper, monkeypatch, "orphans") == 0
    assert run(reaper, monkeypatch, "orphans", "--json") == 0
    assert capsys.readouterr().out == "no orphans\n[]\n"


def test_run_serves_or_rehearses(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind TLS only where the operator says so."""
    serve, rehearse = Mock(), Mock()
    monkeypatch.setattr(server, "run", serve)
    monkeypatch.setattr(server, "dry_run", rehearse)
    assert run(reaper, monkeypatch, "run", "--behind-tls") == 0
    serve.assert_called_once_with(reaper.context, behind_tls=True)
    assert run(reaper, monkeypatch, "run", "--dry-run") == 0
    rehearse.assert_called_once_with(reaper.context)
