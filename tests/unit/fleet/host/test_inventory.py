"""The fleet's inventory from Docker's listings."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, DockerException, NotFound

from fleet import naming
from fleet.errors import FleetError
from fleet.host import connect, environment, list_fleet
from tests.support.fleet.families import STACK, make_family


class Listing:
    """A recorded Docker API that counts its calls."""

    def __init__(self, containers: list[dict[str, Any]], volumes: list[dict[str, Any]] | None) -> None:
        """Record what to answer."""
        self.listed, self.kept, self.calls = containers, volumes, 0

    def containers(self, *, all: bool, filters: Mapping[str, str]) -> list[dict[str, Any]]:  # noqa: A002
        """Answer the list of containers."""
        assert all
        assert filters == {"name": "hermes-user-"}
        self.calls += 1
        return self.listed

    def volumes(self, filters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Answer the list of volumes."""
        assert filters == {"name": "hermes-user-"}
        self.calls += 1
        return {"Volumes": self.kept}


def listing(containers: list[dict[str, Any]], volumes: list[dict[str, Any]] | None = None) -> Any:
    """Return a Docker API that answers with these."""
    return Listing(containers, volumes)


def entry(name: str, **values: Any) -> dict[str, Any]:
    """Return a container as the Docker API lists it."""
    return {"Id": "a" * 64, "Names": [f"/{name}"], "State": "running", "Labels": {}, "Ports": [], **values}


def test_two_calls_whatever_the_size() -> None:
    """The host is asked once for containers and once for volumes."""
    docker = listing([entry(f"hermes-user-{at:032x}") for at in range(500)], None)
    assert len(list_fleet(docker).containers) == 500
    assert docker.calls == 2


def test_ours_takes_name_and_labels_together() -> None:
    """A container is the stack's only if its labels and its name agree; the rest is unmanaged."""
    family, other = make_family("a"), make_family("b")
    own = naming.family_labels(STACK, "a", family.id)
    docker = listing(
        [
            entry(naming.container_name(family.id), Labels=own),
            entry(naming.container_name(other.id), Labels=own),
            entry("hermes-user-usr_1", Labels={}),
        ],
        None,
    )
    inventory = list_fleet(docker)
    assert list(inventory.ours(STACK)) == [family.id]
    assert inventory.ours("another") == {}
    assert inventory.container(other.id) is not None


def test_names_that_only_contain_the_prefix_are_not_the_fleets() -> None:
    """Docker's name filter matches anywhere in a name."""
    assert list_fleet(listing([entry("my-hermes-user-1")], None)).containers == {}


def test_the_api_port_is_found() -> None:
    """The published port of the agent's API is read from the listing, other ports are not."""
    ports = [{"PrivatePort": 9119, "PublicPort": 1}, {"PrivatePort": 8642, "PublicPort": 32768, "IP": "127.0.0.1"}]
    docker = listing([entry("hermes-user-x", Ports=ports), entry("hermes-user-y")], None)
    inventory = list_fleet(docker)
    assert inventory.containers["hermes-user-x"].port == 32768
    assert inventory.containers["hermes-user-y"].port is None


def test_linked_names_do_not_confuse() -> None:
    """Legacy links add names such as `/other/alias`; the container's own name counts."""
    inventory = list_fleet(listing([entry("x", Names=["/web/alias", "/hermes-user-x"])], None))
    assert list(inventory.containers) == ["hermes-user-x"]


def test_a_daemon_that_does_not_answer_is_a_clear_message() -> None:
    """The message names the cause and the fix, also for denied permission."""

    class Broken(Listing):
        def containers(self, **_: Any) -> list[dict[str, Any]]:
            raise DockerException(self.listed)

    with pytest.raises(FleetError, match=r"no daemon answers.*make docker"):
        list_fleet(Broken("connection refused", None))  # type: ignore[arg-type]
    with pytest.raises(FleetError, match=r"permission denied.*usermod -aG docker"):
        list_fleet(Broken("PermissionError(13, 'Permission denied')", None))  # type: ignore[arg-type]


@pytest.mark.parametrize("docker_host", ["tcp://[::1", "tcp://x:y", "tcp://127.0.0.1:99999", "tcp://h:1:2"])
def test_an_invalid_docker_host_is_named(docker_host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo is a message with its fix, not a traceback."""
    monkeypatch.setenv("DOCKER_HOST", docker_host)
    with pytest.raises(FleetError) as caught:
        connect()
    assert f"DOCKER_HOST={docker_host!r} is not an address" in str(caught.value)
    assert "export DOCKER_HOST=unix:///var/run/docker.sock" in str(caught.value)


def test_an_environment_that_cannot_be_read_is_a_clear_message() -> None:
    """A container that is gone has none; a daemon's failure is an error."""

    def client(error: Exception) -> Any:
        def fail(_: str) -> None:
            raise error

        return SimpleNamespace(api=SimpleNamespace(inspect_container=fail))

    assert environment(client(NotFound("gone")), "c") == []
    with pytest.raises(FleetError, match=r"the daemon answers with an error .*500.*DOCKER_HOST"):
        environment(client(APIError("500 Server Error")), "c")
