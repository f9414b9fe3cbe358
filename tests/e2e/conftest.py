"""Fleets of the real hermes-agent, and the LLM provider they talk to."""

import os
from collections.abc import Iterator

import docker
import pytest

from tests.support import kept_logs
from tests.support.agents import LINES, AgentFleet, image_or_skip
from tests.support.llm_server import LlmServer
from tests.support.pulumi_stack import Provider
from tests.support.reaper_program import free_port

TOOLSETS = ["memory", "session_search", "cronjob", "terminal"]


@pytest.fixture(scope="session")
def as_root() -> None:
    """Skip where volumes and network namespaces cannot be looked into, and no file given to another user."""
    if os.geteuid() != 0:
        pytest.skip("needs root; run: sudo make test")


@pytest.fixture(scope="session")
def docker_client(as_root: None, docker_client: docker.DockerClient) -> docker.DockerClient:  # noqa: ARG001
    """Return a client of the local Docker daemon; these tests look into what it keeps."""
    return docker_client


@pytest.fixture(scope="module")
def llm() -> Iterator[LlmServer]:
    """Yield an LLM provider on loopback."""
    with LlmServer() as server:
        yield server


@pytest.fixture(scope="module", params=["0.19", "0.15"])
def agents(
    request: pytest.FixtureRequest,
    docker_client: docker.DockerClient,
    provider: Provider,
    llm: LlmServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AgentFleet]:
    """Yield a fleet of two real agents, up and healthy, for each Hermes line."""
    image = image_or_skip(docker_client, LINES[request.param])
    llm.accept()
    fleet = AgentFleet(docker_client, tmp_path_factory.mktemp("agents"), provider, image, request.param, llm=llm)
    try:
        fleet.defaults = {"timezone": "Europe/Berlin", "channels": {"sudo_chat": True}, "toolsets": TOOLSETS}
        fleet.declare("ash", "birch")
        fleet.up()
        fleet.connect_all()
    except BaseException:
        kept_logs.keep([fleet], f"{request.node.name}-{fleet.hermes_line}-setup")
        fleet.clean()
        raise
    try:
        yield fleet
    finally:
        fleet.clean()


@pytest.fixture
def unused_port() -> int:
    """Return a port of loopback that nobody listens on."""
    return free_port()
