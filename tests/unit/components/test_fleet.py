"""The offline docker provider implements every input that a fleet declares: tests on it would miss any other."""

import pytest
from offline_docker import container, server
from offline_docker.properties import Properties, check

from tests.support.pulumi.declared import declared_inputs

PROVIDER = "tools/offline-docker-provider/offline_docker/container.py"
CONTAINER = "docker:index/container:Container"
# Inputs that are not in the body of Docker's create call: the provider uses them itself, or in a later call.
NOT_IN_BODY = {
    "containerReadRefreshTimeoutMilliseconds",
    "destroyGraceSeconds",
    "mustRun",
    "name",
    "networksAdvanced",
    "start",
    "uploads",
    "wait",
    "waitTimeout",
}


@pytest.fixture(scope="module")
def declared() -> dict[str, list[Properties]]:
    """Return what a fleet declares, by type."""
    return declared_inputs()


def test_the_offline_provider_takes_every_input(declared: dict[str, list[Properties]]) -> None:
    """Of containers, volumes and the network: names, types and forms."""
    docker = [kind for kind in declared if kind.startswith("docker:")]
    assert sorted(docker) == sorted(kind for kind in server.KINDS if kind.startswith("docker:"))
    for kind in docker:
        for inputs in declared[kind]:
            _, failures = check(server.KINDS[kind].SPEC, inputs)
            assert failures == [], f"implement it in {PROVIDER}"


def test_the_offline_provider_passes_every_input_of_a_container_on(declared: dict[str, list[Properties]]) -> None:
    """One that it ignored would make another container than the official provider does."""
    for inputs in declared[CONTAINER]:
        body = container.create_body(check(container.SPEC, inputs)[0])
        for name in inputs.keys() - NOT_IN_BODY - {"image"}:
            without = {key: value for key, value in inputs.items() if key != name}
            assert container.create_body(check(container.SPEC, without)[0]) != body, f"{name}: pass it on in {PROVIDER}"
