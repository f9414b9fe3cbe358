"""A fleet that was started by hand, as a provisioner did it, is taken over with its data."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from fleet import naming
from tests.support.fleet.agents import LINES, AgentFleet, image_or_skip
from tests.support.fleet.fleet import family
from tests.support.fleet.llm_server import LlmServer
from tests.support.pulumi.pulumi_stack import ROOT, Provider

SEED = "mkdir -p /opt/data/memories; echo 'We live by the sea.' > /opt/data/memories/MEMORY.md"
START = "exec /usr/bin/tini -g -- /opt/hermes/docker/entrypoint.sh gateway run"


@pytest.fixture
def llm() -> Iterator[LlmServer]:
    """Yield an LLM provider on loopback."""
    with LlmServer() as server:
        yield server


def fleet_command(agents: AgentFleet, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m fleet`."""
    command = [sys.executable, "-m", "fleet", *words, "--registry", str(agents.registry)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


def test_a_hand_started_fleet_is_adopted_with_its_data(
    docker_client: docker.DockerClient, provider: Provider, llm: LlmServer, tmp_path: Path
) -> None:
    """`up` refuses the unmanaged container, `adopt` removes it by ID, the next `up` declares it on its volume."""
    image = image_or_skip(docker_client, LINES["0.19"])
    agents = AgentFleet(docker_client, tmp_path, provider, image, llm=llm)
    try:
        agents.families = [family("ash")]
        agents.write()
        name = naming.container_name(agents.id("ash"))
        agents.client.containers.run(
            image,
            ["-c", f"{SEED}; {START}"],
            entrypoint="/bin/sh",
            name=name,
            detach=True,
            volumes={
                f"{name}-data": {"bind": "/opt/data"},
                str(ROOT / "plugins"): {"bind": "/opt/data/plugins", "mode": "ro"},
            },
        )
        refused = agents.up(code=None)
        assert refused.code != 0
        assert "python -m fleet adopt" in refused.text
        assert agents.state("ash") == "running"

        dry = fleet_command(agents, "adopt", "--dry-run")
        assert (dry.returncode, agents.state("ash")) == (0, "running")
        assert "would stop and remove" in dry.stdout
        assert fleet_command(agents, "adopt").returncode == 0
        assert agents.state("ash") == "gone"

        said = agents.up().text
        assert "was there before, without this stack's labels; its data is used" in said
        agents.start("ash")
        memory = (agents.data("ash") / "memories" / "MEMORY.md").read_text()
        assert memory.endswith("\n§\nWe live by the sea.\n")
        assert agents.call("ash", "/v1/models")[0] == 200
    finally:
        agents.clean()
