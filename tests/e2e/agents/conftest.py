"""Two real agents for all tests in this folder: a boot of theirs costs more than any test."""

from collections.abc import Iterator

import docker
import pytest

from tests.support.agents import LINES, AgentFleet, real_agents
from tests.support.pulumi_stack import Provider


@pytest.fixture(scope="package", params=LINES)
def agents(
    request: pytest.FixtureRequest,
    docker_client: docker.DockerClient,
    provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AgentFleet]:
    """Yield ash and birch, up and healthy, for each Hermes line; each test leaves them so."""
    folder = tmp_path_factory.mktemp(f"agents-{request.param}")
    with real_agents(docker_client, folder, provider, request.param, "ash", "birch") as fleet:
        yield fleet
