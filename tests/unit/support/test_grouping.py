"""Tests that share a fleet run on one worker."""

import re
from pathlib import Path

from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.setup.grouping import SHARED
from tests.support.setup.nested_pytest import run_pytest

CONFTEST = "from tests.support.setup.grouping import pytest_collection_modifyitems"
TEST = """
import pathlib, time, pytest

@pytest.mark.parametrize("agents", ["0.19", "0.15"])
@pytest.mark.parametrize("number", range(4))
def test_it(agents, number, worker_id):
    time.sleep(0.01)
    pathlib.Path(__file__).with_name(f"ran-{agents}-{worker_id}").touch()
"""


def test_each_fleet_is_made_by_one_worker(tmp_path: Path) -> None:
    """Tests with the same agents run on the same worker, those with others on the other one."""
    folder = tmp_path / "e2e"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_agents.py").write_text(TEST)
    spared = [f"-pno:{plugin}" for plugin in ("anyio", "hypothesispytest", "timeout")]
    options = [*spared, "--rootdir", str(folder), "--numprocesses", "2", "--dist", "loadgroup"]
    done = run_pytest(folder, *options, str(folder), seconds=60, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stdout
    assert len(list(folder.glob("ran-0.19-*"))) == 1
    assert len(list(folder.glob("ran-0.15-*"))) == 1


def test_every_fixture_of_a_module_or_folder_is_known() -> None:
    """An unlisted one, such as a fleet or a browser, would be made by every worker."""
    fixtures = re.compile(r"@pytest\.fixture\(scope=\"(?:module|package)\".*\)\ndef (\w+)\(")
    found = {name for file in (ROOT / "tests").rglob("*.py") for name in fixtures.findall(file.read_text())}
    assert found
    assert found <= SHARED
