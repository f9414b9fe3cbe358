"""Two real agents for all tests in this folder: a boot of theirs costs more than any test."""

from collections.abc import Iterator

import docker
import pytest

from tests.support.agents import LINES, AgentFleet, pairs, real_agents
from tests.support.providers import chosen_providers
from tests.support.pulumi_stack import Provider


@pytest.fixture(scope="package", params=pairs(LINES, chosen_providers()), ids=lambda pair: pair.name)
def agents(
    request: pytest.FixtureRequest,
    docker_client: docker.DockerClient,
    any_provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AgentFleet]:
    """Yield ash and birch, up and healthy, for each Hermes line; each test leaves them so."""
    pair, folder = request.param, tmp_path_factory.mktemp(f"agents-{request.param.name}")
    with real_agents(docker_client, folder, pair.provider or any_provider, pair.line, "ash", "birch") as fleet:
        yield fleet
