"""Fixtures of several layers: Docker, Pulumi and fleets, or a skip that says how to get them, and a reaper."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import docker
import hypothesis
import pytest
from docker.errors import DockerException

from tests.support.docker import kept_logs
from tests.support.fleet import stub_agent
from tests.support.fleet.fleet import FleetUnderTest, family
from tests.support.pulumi.providers import chosen_providers
from tests.support.pulumi.pulumi_stack import Provider, find_pulumi
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper
from tests.support.setup.grouping import pytest_collection_modifyitems  # noqa: F401 - a pytest hook

# Quick for developers, thorough for CI.
hypothesis.settings.register_profile("quick", max_examples=40)
hypothesis.settings.register_profile("thorough", max_examples=400, derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

PROVIDERS: list[object] = [*chosen_providers()] or [
    pytest.param(None, marks=pytest.mark.skip("no docker provider plugin; get it with: make setup"))
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the logs of a failed test's containers before its fixtures remove them."""
    report = yield
    if report.failed:
        kept_logs.keep_for_report(item, report)
    return report


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """Return a client of the local Docker daemon."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException as error:
        pytest.skip(f"no Docker daemon answers ({error}); start one with: make docker")
    yield client
    client.close()


@pytest.fixture(scope="session")
def pulumi_cli() -> str:
    """Return the Pulumi CLI."""
    found = find_pulumi()
    if not found:
        pytest.skip("no Pulumi CLI; get it with: make setup")
    return found


@pytest.fixture(
    scope="session",
    params=PROVIDERS,
    ids=lambda provider: getattr(provider, "name", "none"),
)
def provider(request: pytest.FixtureRequest, pulumi_cli: str) -> Provider:  # noqa: ARG001 - no CLI, no provider
    """Return the docker provider to test on, or each of them (see `chosen_providers`)."""
    found: Provider = request.param
    return found


@pytest.fixture
def reaper(tmp_path: Path) -> ReaperUnderTest:
    """Two families, ash and birch, whose containers have been idle for a day; the reaper has not swept yet."""
    return make_reaper(tmp_path, [family("ash"), family("birch")])


@pytest.fixture(scope="session")
def stub_image(docker_client: docker.DockerClient) -> str:
    """Return the stub agent's image."""
    if not stub_agent.busybox():
        pytest.skip("no static busybox; get it with: apt-get install busybox-static")
    return stub_agent.build(docker_client)


@pytest.fixture
def fleet(
    docker_client: docker.DockerClient, provider: Provider, stub_image: str, tmp_path: Path
) -> Iterator[FleetUnderTest]:
    """Yield a fleet of stub agents on a stack of its own, removed with everything it made."""
    under_test = FleetUnderTest(docker_client, tmp_path, provider, stub_image)
    yield under_test
    under_test.clean()


@pytest.fixture(scope="module")
def new_fleet(
    docker_client: docker.DockerClient, provider: Provider, stub_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], FleetUnderTest]]:
    """Yield a factory of fleets like `fleet` for all tests of a module; they are removed after the last test."""
    with ExitStack() as removed:

        def make() -> FleetUnderTest:
            made = FleetUnderTest(docker_client, tmp_path_factory.mktemp("fleet"), provider, stub_image)
            removed.callback(made.clean)
            return made

        yield make
