"""What `python -m fleet plan` prints and writes."""

from pathlib import Path

import pytest

from fleet.cli import main
from fleet.plan.preview import Previewed
from tests.support.previews import digest, family_steps


def test_a_file_that_cannot_be_written_costs_no_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The preview took its time: what it found is printed all the same, and the exit code says error."""
    monkeypatch.setattr(
        "fleet.commands.plan.preview", lambda *_: Previewed(digest(family_steps("ash", "create")), None)
    )
    missing = tmp_path / "missing" / "plan.json"
    assert main(["plan", "--json", str(missing)]) == 1
    printed = capsys.readouterr()
    assert "`ash`" in printed.out
    assert f"{missing}: cannot be written (No such file or directory)" in printed.err
