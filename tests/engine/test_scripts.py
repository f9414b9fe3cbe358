"""The scripts that every container gets: the state knows them by path and digest, whoever runs `up` from wherever."""

import io
import json
import tarfile
from pathlib import Path

from tests.support.copies import copy_repository
from tests.support.fleet import FleetUnderTest
from tests.support.pulumi_stack import ROOT

HEALTH = "templates/health.sh"


def uploaded(fleet: FleetUnderTest, name: str, file: str) -> str:
    """Return a file of a family's container, whether it runs or not."""
    packed, _ = fleet.container(name).get_archive(file)
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as tar:
        content = tar.extractfile(tar.getmembers()[0])
        assert content
        return content.read().decode()


def test_scripts_are_in_the_container_and_not_in_the_state(fleet: FleetUnderTest, tmp_path: Path) -> None:
    """Another checkout of the same scripts is no change; a changed one is rolled out."""
    fleet.stack.configure({"newFamilies": "asleep"})
    fleet.declare("ash")
    fleet.up()
    script = (ROOT / HEALTH).read_text()
    assert uploaded(fleet, "ash", "/opt/fleet/health.sh") == script
    state = json.dumps(fleet.stack.state("--show-secrets"))
    assert "opt/fleet/health.sh" in state
    assert script.splitlines()[-1] not in state

    fleet.stack.project = copy_repository(tmp_path / "elsewhere")
    assert fleet.silent()
    (fleet.stack.project / HEALTH).write_text(f"{script}# another one\n")
    assert fleet.up().names("replace") == [fleet.resource("ash")]
    assert uploaded(fleet, "ash", "/opt/fleet/health.sh").endswith("# another one\n")
    assert fleet.silent()
