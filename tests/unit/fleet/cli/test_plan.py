"""What `hermes-fleet plan` prints and writes."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from fleet.cli import main
from fleet.errors import FleetError
from tests.support.fleet.previews import digest, family_steps


def test_a_file_that_cannot_be_written_costs_no_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The preview took its time: what it found is printed all the same, and the exit code says error."""
    monkeypatch.setattr("fleet.host.connect", Mock(side_effect=FleetError("docker: no daemon answers")))
    monkeypatch.setattr("fleet.cli.plan.preview", lambda *_, **__: digest(family_steps("ash", "create")))
    missing = tmp_path / "missing" / "plan.json"
    assert main(["plan", "--json", str(missing)]) == 1
    printed = capsys.readouterr()
    assert "`ash`" in printed.out
    assert f"{missing}: cannot be written (No such file or directory)" in printed.err


@pytest.mark.parametrize("command", ["plan", "audit"])
def test_a_preview_that_says_nothing_leaves_no_connection(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi's words are the error, and the client of the Docker host is closed."""
    client = Mock()
    monkeypatch.setattr("fleet.host.connect", lambda: client)
    monkeypatch.setattr("fleet.plan.preview._pulumi", lambda *_: "/bin/false")
    assert main([command]) == 1
    assert "pulumi preview: exit code 1" in capsys.readouterr().err
    client.close.assert_called_once()
