"""What a Docker host shows of the fleet: one list of containers, one list of volumes, sorted by label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from fleet import naming
from fleet.host.client import asking
from fleet.naming import API_PORT

# A container in one of these states has an agent in it.
_AWAKE_STATES = frozenset({"running", "restarting", "paused"})


@dataclass(frozen=True)
class ContainerSummary:
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
class Inventory:
    """Containers and volumes that carry the fleet's prefix, by name. `read` is False where no daemon answered.

    `processors` is how many the host has, None where nobody asked.
    """

    containers: Mapping[str, ContainerSummary] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    read: bool = True
    processors: int | None = None

    def container(self, family_id: UUID) -> ContainerSummary | None:
        """Return the container that stands under a family's name, whoever made it."""
        return self.containers.get(naming.container_name(family_id))

    def ours(self, stack: str) -> dict[UUID, ContainerSummary]:
        """Return the stack's own containers by family, told by their labels and name together."""
        found = ((naming.family_id_from_name(seen.name), seen) for seen in self.containers.values())
        return {
            family_id: seen for family_id, seen in found if family_id and naming.owned_by(seen.labels, stack, family_id)
        }


class DockerApi(Protocol):
    """The calls of docker-py's `APIClient` that a look at the host takes."""

    def containers(self, *, all: bool, filters: Mapping[str, str]) -> list[dict[str, Any]]: ...  # noqa: A002, D102

    def volumes(self, filters: dict[str, Any] | None = ...) -> dict[str, Any]: ...  # noqa: D102


def list_fleet(api: DockerApi) -> Inventory:
    """List what carries the fleet's prefix, in two calls. Raises FleetError where the daemon does not answer."""
    containers = list_containers(api)
    with asking():
        volumes = api.volumes(filters={"name": naming.PREFIX})["Volumes"] or []
    return Inventory(containers, {volume["Name"]: volume["Labels"] or {} for volume in volumes})


def list_containers(api: DockerApi) -> dict[str, ContainerSummary]:
    """List the containers that carry the fleet's prefix, by name, in one call. Raises FleetError like `observe`."""
    with asking():
        listed = api.containers(all=True, filters={"name": naming.PREFIX})
    seen = [_seen(entry) for entry in listed]
    return {each.name: each for each in seen if each.name.startswith(naming.PREFIX)}


def _seen(entry: Mapping[str, Any]) -> ContainerSummary:
    names: list[str] = entry["Names"] or ["/"]
    own = next((name for name in names if name.count("/") == 1), names[0])
    ports = (port.get("PublicPort") for port in entry.get("Ports") or [] if port.get("PrivatePort") == API_PORT)
    return ContainerSummary(
        id=entry["Id"],
        name=own.removeprefix("/"),
        state=entry["State"],
        labels=entry["Labels"] or {},
        status=entry.get("Status", ""),
        port=next((port for port in ports if port), None),
    )
