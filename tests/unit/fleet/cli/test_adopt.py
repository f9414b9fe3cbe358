"""A fleet of hand-started containers is taken over as far as the host lets it, and the rest is told."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError, NotFound
from requests.exceptions import ReadTimeout

from fleet import naming
from fleet.cli.adopt import Candidate, candidates, check, take_over
from fleet.errors import FleetError
from fleet.host import ContainerSummary, Inventory
from tests.support.fleet.families import make_family, make_host, make_seen


@dataclass
class Api:
    """The calls that taking over makes, with the errors that some containers answer with, by ID."""

    errors: dict[str, Exception] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def inspect_container(self, container: str) -> dict[str, Any]:
        """Return a container whose data is on the volume it should be on; its ID is its family's."""
        self._answer(container)
        return {"Mounts": [{"Type": "volume", "Name": f"hermes-user-{container}-data", "Destination": "/opt/data"}]}

    def stop(self, container: str, timeout: int) -> None:
        """Stop it, with grace."""
        assert timeout == 30
        self._answer(container)

    def remove_container(self, container: str, *, v: bool, force: bool) -> None:
        """Remove it and nothing else."""
        assert (v, force) == (False, False)
        self.removed.append(container)

    def _answer(self, container: str) -> None:
        if container in self.errors:
            raise self.errors[container]


def client_of(api: Api) -> docker.DockerClient:
    """Return a client with this API."""
    return cast("docker.DockerClient", SimpleNamespace(api=api))


@pytest.fixture
def found() -> list[Candidate]:
    """Return containers of three families to take over."""
    families = [make_family(name) for name in ("ash", "birch", "cedar")]
    return [
        Candidate(each, ContainerSummary(each.id.hex, naming.container_name(each.id), "running")) for each in families
    ]


ERRORS = [
    (APIError("500 Server Error", explanation="driver failed"), "driver failed"),
    (APIError("500 Server Error"), "500 Server Error"),
    (ReadTimeout("read timed out"), "docker: no answer (read timed out); run the same command again"),
]


def test_only_unlabelled_containers_of_the_registry_are_candidates() -> None:
    """Those of any stack, and those of no family in the registry, are left alone."""
    ours, by_hand, unknown = make_family("ash"), make_family("birch"), make_family("cedar")
    plain = [ContainerSummary(each.name, naming.container_name(each.id), "running") for each in (by_hand, unknown)]
    host: Inventory = make_host(make_seen(ours), *plain)
    assert [each.family.name for each in candidates([ours, by_hand], host)] == ["birch"]


def test_a_container_that_is_gone_holds_no_data_back(found: list[Candidate]) -> None:
    """One that goes away between the list and the look is nothing to adopt, and the others are."""
    api = Api({found[0].container.id: NotFound("404", explanation="No such container")})
    said: list[str] = []
    check(client_of(api), found)
    take_over(client_of(api), found, said.append)
    assert said[0] == "ash: its container is gone already"
    assert api.removed == [each.container.id for each in found[1:]]


@pytest.mark.parametrize(("error", "what"), ERRORS)
def test_a_container_that_cannot_be_looked_at_is_a_problem(found: list[Candidate], error: OSError, what: str) -> None:
    """Where its data lies is not known, so nothing is touched; every container is looked at."""
    api = Api({each.container.id: error for each in found[:2]})
    with pytest.raises(FleetError) as caught:
        check(client_of(api), found)
    assert str(caught.value).splitlines() == [
        f"{each.family.name}: container {each.container.name}: {what}" for each in found[:2]
    ]


@pytest.mark.parametrize(("error", "what"), ERRORS)
def test_all_are_tried_whatever_one_answers(found: list[Candidate], error: OSError, what: str) -> None:
    """A container that does not stop is told at the end, after the others were taken over."""
    api = Api({found[0].container.id: error})
    said: list[str] = []
    with pytest.raises(FleetError) as caught:
        take_over(client_of(api), found, said.append)
    assert str(caught.value) == f"ash: container {found[0].container.name}: {what}"
    assert [line.partition(":")[0] for line in said] == ["birch", "cedar"]
    assert api.removed == [each.container.id for each in found[1:]]


def test_data_elsewhere_than_on_the_familys_volume_is_refused(found: list[Candidate]) -> None:
    """Removing such a container would leave the data behind; the message has the command that copies it."""

    class Elsewhere(Api):
        def inspect_container(self, container: str) -> dict[str, Any]:
            return {"Mounts": [{"Type": "bind", "Source": f"/srv/{container}", "Destination": "/opt/data/"}]}

    with pytest.raises(FleetError) as caught:
        check(client_of(Elsewhere()), found[:1])
    assert f"its data is in /srv/{found[0].container.id}, not in volume {found[0].container.name}-data" in str(
        caught.value
    )
    assert "docker cp -a" in str(caught.value)
