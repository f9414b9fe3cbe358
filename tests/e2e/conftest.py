"""What all tests from end to end need of the machine."""

import os
from contextlib import AbstractContextManager

import docker
import pytest

from tests.support.fleet.agents import AgentFleet, NewAgents, Pair, real_agents
from tests.support.pulumi.providers import chosen_providers
from tests.support.pulumi.pulumi_stack import Provider
from tests.support.reaper.reaper_program import free_port


@pytest.fixture(scope="session")
def as_root() -> None:
    """Skip where volumes and network namespaces cannot be looked into, and no file given to another user."""
    if os.geteuid() != 0:
        pytest.skip("needs root; run: sudo make test")


@pytest.fixture(scope="session")
def docker_client(as_root: None, docker_client: docker.DockerClient) -> docker.DockerClient:  # noqa: ARG001
    """Return a client of the local Docker daemon; these tests look into what it keeps."""
    return docker_client


@pytest.fixture(scope="session")
def any_provider(pulumi_cli: str) -> Provider:
    """Return one docker provider, for tests that are not about it."""
    chosen = chosen_providers()
    if not chosen:
        pytest.skip(f"no docker provider plugin for {pulumi_cli}; get it with: make setup")
    return chosen[0]


@pytest.fixture(scope="session")
def new_agents(
    docker_client: docker.DockerClient, any_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> NewAgents:
    """Return what runs real agents of a pair in a `with` block."""

    def make(title: str, pair: Pair, *names: str, image: str = "") -> AbstractContextManager[AgentFleet]:
        folder, provider = tmp_path_factory.mktemp(f"{title}-{pair.name}"), pair.provider or any_provider
        return real_agents(docker_client, folder, provider, pair.line, *names, image=image)

    return make


@pytest.fixture
def unused_port() -> int:
    """Return a port of loopback that no process listens on."""
    return free_port()
