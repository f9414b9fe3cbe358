"""Data is deleted by one command alone, and only when nothing speaks for the family any more."""

import subprocess
import sys

import pytest
from docker.errors import NotFound

from tests.support.fleet.fleet import FleetUnderTest
from tests.support.pulumi.pulumi_stack import ROOT


def purge(fleet: FleetUnderTest, family: str, yes: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m fleet purge`."""
    words = ["purge", family, "--yes", yes, "--registry", str(fleet.registry), "--stack", fleet.stack.name]
    return subprocess.run(
        [sys.executable, "-m", "fleet", *words], cwd=ROOT, text=True, capture_output=True, check=False
    )


def test_purge_waits_until_entry_and_container_are_gone(fleet: FleetUnderTest) -> None:
    """It refuses while there is a registry entry or a container, and deletes just the one volume then."""
    fleet.stack.configure({"newFamilies": "asleep"})
    fleet.declare("ash", "birch")
    fleet.up()
    volume, kept = fleet.volume("ash"), fleet.volume("birch")

    entry = purge(fleet, "ash", "ash")
    assert (entry.returncode, "remove its entry" in entry.stderr) == (1, True)
    fleet.families.remove(fleet.entry("ash"))
    fleet.write()
    container = purge(fleet, "ash", "ash")
    assert (container.returncode, "still exists" in container.stderr) == (1, True)
    fleet.up()
    unsure = purge(fleet, "ash", "birch")
    assert (unsure.returncode, "nothing was deleted" in unsure.stderr) == (1, True)
    unknown = purge(fleet, "elm", "elm")
    assert (unknown.returncode, "nothing was deleted" in unknown.stderr) == (1, True)
    assert fleet.client.volumes.get(volume)

    done = purge(fleet, "ash", "ash")
    assert done.returncode == 0, done.stderr
    with pytest.raises(NotFound):
        fleet.client.volumes.get(volume)
    assert fleet.client.volumes.get(kept)
