"""`python -m fleet audit` beside a real engine and daemon."""

import contextlib
import json
import subprocess
import sys

from docker.errors import NotFound

from tests.support.fleet import stub_agent
from tests.support.fleet.fleet import FleetUnderTest
from tests.support.pulumi.pulumi_stack import LLM_KEY, NEW_KEY, ROOT


def found(fleet: FleetUnderTest) -> set[tuple[str, str]]:
    """Return what an audit finds of this test's own families, as kind and name; nothing else on the host counts."""
    command = [sys.executable, "-m", "fleet", "audit", "--json", "--stack", fleet.stack.name]
    done = subprocess.run(
        [*command, "--config-file", str(fleet.stack.config_file)],
        cwd=ROOT,
        env=fleet.stack.env,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in {0, 2}, done.stderr
    assert LLM_KEY not in done.stdout + done.stderr
    assert NEW_KEY not in done.stdout + done.stderr
    names = {entry["name"] for entry in fleet.families}
    return {(each["kind"], each["about"]) for each in json.loads(done.stdout) if each["about"] in names}


def test_an_audit_sees_what_no_up_tells(fleet: FleetUnderTest) -> None:
    """All as declared; then a new key that is not rolled yet, a tag that moved, and a volume that was lost."""
    tag = f"{stub_agent.IMAGE}:{fleet.stack.name}"
    fleet.client.images.get(fleet.image).tag(stub_agent.IMAGE, fleet.stack.name)
    fleet.stack.configure({"image": tag})
    fleet.declare("ash", "birch")
    fleet.up()
    try:
        assert found(fleet) == set()

        fleet.stack.configure({}, {"llmApiKey": NEW_KEY})
        assert found(fleet) == {("old-key", "ash"), ("old-key", "birch")}
        fleet.stack.configure({}, {"llmApiKey": LLM_KEY})

        other = stub_agent.build(fleet.client, "2")
        fleet.client.images.get(other).tag(stub_agent.IMAGE, fleet.stack.name)
        assert found(fleet) == {("image-moved", "ash"), ("image-moved", "birch")}

        fleet.container("birch").remove(force=True)
        fleet.client.volumes.get(fleet.volume("birch")).remove(force=True)
        assert ("volume-lost", "birch") in found(fleet)
        fleet.client.volumes.create(fleet.volume("birch"))  # as Docker does where a container is started without
        assert ("volume-lost", "birch") in found(fleet)
    finally:
        with contextlib.suppress(NotFound):
            fleet.client.images.remove(tag, force=True)
