"""The files that go into a container."""

import hashlib
from pathlib import Path

import pytest

from fleet.container.files import scripts
from tests.support.pulumi.pulumi_stack import ROOT


def test_scripts_are_named_by_their_place_in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by where the project is checked out: another path would replace every container."""
    monkeypatch.chdir(ROOT)
    for script in scripts():
        name = script.file.removeprefix("/opt/fleet/")
        assert script.source == f"templates/{name}"
        assert script.digest == hashlib.sha256((ROOT / "templates" / name).read_bytes()).hexdigest()
    assert [script.file for script in scripts()] == [f"/opt/fleet/{n}" for n in ("boot.sh", "health.sh", "probe.py")]


def test_scripts_that_are_installed_elsewhere_are_given_by_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine has them at another path, which would replace every container."""
    monkeypatch.chdir(tmp_path)
    for script in scripts():
        assert (script.source, script.digest) == (None, None)
        assert script.content == (ROOT / "templates" / Path(script.file).name).read_text(encoding="utf-8")
