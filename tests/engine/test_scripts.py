"""The scripts of every container: the state holds path and digest, from any machine and user that runs `up`."""

import json
from pathlib import Path

from tests.support.fleet.fleet import FleetUnderTest
from tests.support.fleet.uploaded import uploaded
from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.setup.copies import copy_repository

HEALTH = "templates/health.sh"


def health_script(fleet: FleetUnderTest) -> str:
    """Return the script in ash's container."""
    return uploaded(fleet.client, fleet.resource("ash"))["fleet/health.sh"][0].decode()


def test_scripts_are_in_the_container_and_not_in_the_state(fleet: FleetUnderTest, tmp_path: Path) -> None:
    """Another checkout of the same scripts is no change; a changed one is rolled out."""
    fleet.stack.configure({"newFamilies": "asleep"})
    fleet.declare("ash")
    fleet.up()
    script = (ROOT / HEALTH).read_text()
    assert health_script(fleet) == script
    state = json.dumps(fleet.stack.decrypted())
    assert "opt/fleet/health.sh" in state
    assert script.splitlines()[-1] not in state

    fleet.stack.project = copy_repository(tmp_path / "elsewhere")
    assert fleet.silent()
    (fleet.stack.project / HEALTH).write_text(f"{script}# another one\n")
    assert fleet.up().names("replace") == [fleet.resource("ash")]
    assert health_script(fleet).endswith("# another one\n")
    assert fleet.silent()
