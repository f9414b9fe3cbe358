"""What a Docker host shows of the fleet: one list of containers, one list of volumes, sorted by label."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

import docker
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, NotFound

from fleet import naming
from fleet.errors import FleetError
from fleet.naming import API_PORT

# A container in one of these states has an agent in it.
_AWAKE_STATES = frozenset({"running", "restarting", "paused"})

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Seen:
    """A container as the host lists it.

    `state` is Docker's word (`running`, `created`, `exited`, …), `status` its sentence (`Up 5 minutes (healthy)`),
    `port` the loopback port that the agent's API is published on, None unless it runs.
    """

    id: str
    name: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    port: int | None = None

    @property
    def awake(self) -> bool:
        """Tell whether this container runs, or was created to run and failed to start."""
        failed_start = self.state == "created" and self.labels.get(naming.LABEL_START) == naming.AWAKE
        return self.state in _AWAKE_STATES or failed_start

    @property
    def healthy(self) -> bool:
        """Tell whether Docker calls this container healthy."""
        return "(healthy)" in self.status


@dataclass(frozen=True)
class Host:
    """Containers and volumes that carry the fleet's prefix, by name. `read` is False where no daemon answered.

    `processors` is how many the host has, None where nobody asked.
    """

    containers: Mapping[str, Seen] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    read: bool = True
    processors: int | None = None

    def container(self, family_id: UUID) -> Seen | None:
        """Return the container that stands under a family's name, whoever made it."""
        return self.containers.get(naming.container_name(family_id))

    def ours(self, stack: str) -> dict[UUID, Seen]:
        """Return the stack's own containers by family, told by their labels and name together."""
        found = ((naming.family_id_from_name(seen.name), seen) for seen in self.containers.values())
        return {
            family_id: seen for family_id, seen in found if family_id and naming.owned_by(seen.labels, stack, family_id)
        }


class DockerApi(Protocol):
    """The calls of docker-py's `APIClient` that a look at the host takes."""

    def containers(self, *, all: bool, filters: Mapping[str, str]) -> list[dict[str, Any]]: ...  # noqa: A002, D102

    def volumes(self, filters: dict[str, Any] | None = ...) -> dict[str, Any]: ...  # noqa: D102


def address(docker_host: str) -> SplitResult:
    """Return the parts of a `DOCKER_HOST`, which may be empty. Raises FleetError for what is no address."""
    try:
        parts = urlsplit(docker_host)
        parts.port  # noqa: B018 - raises, where it is no port
    except ValueError as error:
        raise FleetError(
            f"docker: DOCKER_HOST={docker_host!r} is not an address ({error}); mend it with: "
            "export DOCKER_HOST=unix:///var/run/docker.sock (or tcp://HOST:PORT)"
        ) from error
    return parts


def connect() -> docker.DockerClient:
    """Return a client for the provider's default host (`DOCKER_HOST`). Raises FleetError where none answers.

    It asks for what the provider asks for, a ping, and no more: a preview gets by on a socket that answers just that.
    """
    address(os.environ.get("DOCKER_HOST", ""))
    with asking():
        client = docker.from_env(timeout=_TIMEOUT_SECONDS, version=MINIMUM_DOCKER_API_VERSION)
        ping = client.api.get(f"{client.api.base_url}/_ping", timeout=_TIMEOUT_SECONDS)
        ping.raise_for_status()
        client.close()
        return docker.from_env(timeout=_TIMEOUT_SECONDS, version=ping.headers.get("Api-Version"))


def observe(api: DockerApi) -> Host:
    """List what carries the fleet's prefix, in two calls. Raises FleetError where the daemon does not answer."""
    containers = observe_containers(api)
    with asking():
        volumes = api.volumes(filters={"name": naming.PREFIX})["Volumes"] or []
    return Host(containers, {volume["Name"]: volume["Labels"] or {} for volume in volumes})


def observe_containers(api: DockerApi) -> dict[str, Seen]:
    """List the containers that carry the fleet's prefix, by name, in one call. Raises FleetError like `observe`."""
    with asking():
        listed = api.containers(all=True, filters={"name": naming.PREFIX})
    seen = [_seen(entry) for entry in listed]
    return {each.name: each for each in seen if each.name.startswith(naming.PREFIX)}


def processors(client: docker.DockerClient) -> int:
    """Return how many processors the host has. Raises FleetError like `observe`."""
    with asking():
        return int(client.info()["NCPU"])


def environment(client: docker.DockerClient, container_id: str) -> list[str]:
    """Return a container's environment, nothing for one that is gone by now. Raises FleetError like `observe`."""
    with asking():
        try:
            return client.api.inspect_container(container_id)["Config"]["Env"] or []
        except NotFound:
            return []


@contextmanager
def asking() -> Iterator[None]:
    """Raise FleetError for what goes wrong with the daemon inside the block."""
    try:
        yield
    except (DockerException, OSError) as error:
        raise FleetError(_unreachable(error)) from error


def _seen(entry: Mapping[str, Any]) -> Seen:
    names: list[str] = entry["Names"] or ["/"]
    own = next((name for name in names if name.count("/") == 1), names[0])
    ports = (port.get("PublicPort") for port in entry.get("Ports") or [] if port.get("PrivatePort") == API_PORT)
    return Seen(
        id=entry["Id"],
        name=own.removeprefix("/"),
        state=entry["State"],
        labels=entry["Labels"] or {},
        status=entry.get("Status", ""),
        port=next((port for port in ports if port), None),
    )


def _unreachable(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return (
            "docker: the daemon's socket may not be opened by this user (permission denied); mend it with: "
            "sudo usermod -aG docker $USER, then log in again"
        )
    if "paramiko" in text:
        return (
            "docker: DOCKER_HOST=ssh://… is not supported; use unix:// or tcp://, such as a socket forwarded by ssh -L"
        )
    if isinstance(error, APIError):
        return (
            f"docker: the daemon answers with an error ({text}); look into its log (journalctl -u docker) and run the "
            "same again, or point DOCKER_HOST at another one"
        )
    return (
        f"docker: no daemon answers ({text}); start it with: make docker (or: sudo systemctl start docker), "
        "or point DOCKER_HOST at one"
    )
