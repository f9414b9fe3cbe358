"""The fleet's containers and volumes on a Docker host, from one call each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import docker

from fleet import naming
from fleet.host.client import daemon_errors
from fleet.naming import API_PORT

# States in which a container has an agent process.
_AWAKE_STATES = frozenset({"running", "restarting", "paused"})


@dataclass(frozen=True)
class ContainerSummary:
    """A container as Docker lists it.

    `state` and `status` are Docker's (`running`; `Up 5 minutes (healthy)`). `port` is the loopback port of the agent's
    API, None unless the container runs.
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
    """Containers, and labels of volumes, with the fleet's prefix, by name. `read` is False where no daemon answered.

    `processors` is how many the host has, None if it was not asked.
    """

    containers: Mapping[str, ContainerSummary] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    read: bool = True
    processors: int | None = None

    def container(self, family_id: UUID) -> ContainerSummary | None:
        """Return the container under a family's name, also one that is not the fleet's."""
        return self.containers.get(naming.container_name(family_id))

    def ours(self, stack: str) -> dict[UUID, ContainerSummary]:
        """Return the stack's own containers by family: both labels and name must say so."""
        found = ((naming.family_id_from_name(each.name), each) for each in self.containers.values())
        return {id_: each for id_, each in found if id_ and naming.owned_by(each.labels, stack, id_)}


def list_fleet(api: docker.APIClient) -> Inventory:
    """List containers and volumes with the fleet's prefix. Raises FleetError where the daemon does not answer."""
    containers = list_containers(api)
    with daemon_errors():
        volumes = api.volumes(filters={"name": naming.PREFIX})["Volumes"] or []
    return Inventory(containers, {volume["Name"]: volume["Labels"] or {} for volume in volumes})


def list_containers(api: docker.APIClient) -> dict[str, ContainerSummary]:
    """List the containers with the fleet's prefix by name. Raises FleetError where the daemon does not answer."""
    with daemon_errors():
        listed = api.containers(all=True, filters={"name": naming.PREFIX})
    summaries = map(_summary, listed)
    return {each.name: each for each in summaries if each.name.startswith(naming.PREFIX)}


def _summary(entry: Mapping[str, Any]) -> ContainerSummary:
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
