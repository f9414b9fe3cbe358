"""Stand-ins that `pulumi up` made and the reaper watches; a test writes down what they are busy with."""

from collections.abc import Iterator

import docker
import pytest

from reaper.policy.facts import Limits
from tests.support.pulumi.pulumi_stack import Provider
from tests.support.reaper.acting import ActingFleet

IDLE_AFTER = 2


@pytest.fixture(scope="module")
def slept(
    docker_client: docker.DockerClient,
    any_provider: Provider,
    stub_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ActingFleet]:
    """Yield two awake families whose idle_after is two seconds, and one that is suspended."""
    fleet = ActingFleet(docker_client, tmp_path_factory.mktemp("slept"), any_provider, stub_image)
    try:
        fleet.defaults = {"sleep": {"idle_after": IDLE_AFTER}}
        fleet.declare("ash", "birch")
        fleet.declare("cedar", state="suspended")
        fleet.up()
        yield fleet
    finally:
        fleet.clean()


@pytest.fixture
def awake(slept: ActingFleet) -> Iterator[ActingFleet]:
    """Yield the fleet with both families awake, idle and healthy, and a reaper that remembers nothing."""
    for name in ("ash", "birch"):
        slept.rest(name)
        for file in ("drained", "cron/jobs.json"):
            (slept.data(name) / file).unlink(missing_ok=True)
        slept.container(name).start()
    slept.wait_healthy("ash", "birch")
    slept.beside.forget()
    slept.beside.registry, slept.beside.limits = None, Limits(min_uptime=0)
    yield slept
    slept.beside.close()
