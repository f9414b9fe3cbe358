"""What a failed test's containers said outlives them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.docker import kept_logs
from tests.support.fleet.fleet import FleetUnderTest


@pytest.fixture
def talkative(fleet: FleetUnderTest) -> FleetUnderTest:
    """Return a fleet of two families, of which one has a container; it has spoken its last words."""
    fleet.declare("ash", "birch")
    container = fleet.client.containers.run(
        fleet.image, ["echo", "last words"], name=fleet.resource("ash"), network_mode="none", detach=True
    )
    container.wait(timeout=60)
    return fleet


def test_logs_are_kept_for_the_report(talkative: FleetUnderTest, tmp_path: Path) -> None:
    """State and log are in a file named after test and family, and the report of the failure names the file."""
    item: Any = SimpleNamespace(funcargs={"held": SimpleNamespace(agents=talkative)}, nodeid="a.py::test[x/y]")
    report: Any = SimpleNamespace(sections=[])
    kept_logs.keep_for_report(item, report, tmp_path)
    talkative.clean()
    assert report.sections == [("logs of containers", "test-report/logs/a.py-test-x-y-/ash.log")]
    text = (tmp_path / "test-report/logs/a.py-test-x-y-/ash.log").read_text()
    assert "last words" in text
    assert "'ExitCode': 0" in text
