"""Cleanup of interrupted updates: removes what one left under a name of the fleet, just before that name is created.

By then the engine has deleted every container that it knows under the name. One that still exists, with this stack's
and this family's labels, was created by an update that was killed before it wrote its state. The same is true of a
network with the stack's label.
"""

from contextlib import closing

from docker.errors import DockerException, NotFound

from fleet import host, naming
from fleet.errors import FleetError
from fleet.registry import Family
from fleet.settings import Settings


def clear_container(family: Family, settings: Settings) -> str | None:
    """Remove a family's container that an interrupted update left; return what to tell the operator, or None.

    It is stopped with grace first. One with other labels is left as it is: the creation then fails on its name.
    Never raises: the old container is deleted by now, and an error would leave the family without one.
    """
    name = naming.container_name(family.id)
    try:
        with closing(host.connect()) as client:
            container = client.containers.get(name)
            if container.name != name or not naming.owned_by(container.labels, settings.stack, family.id):
                return None
            removed = f"{container.short_id}, {container.status}"
            container.stop(timeout=settings.rollout.stop_grace)
            container.remove(force=True)
    except NotFound:
        return None
    except (FleetError, DockerException, OSError) as error:
        return (
            f"{family.name}: cannot tell whether an interrupted update left a container ({error}); fix, if its name is "
            f"taken: docker stop {name} && docker rm {name}, then up again (its volume stays)"
        )
    return f"{family.name}: removed a container ({removed}) that an interrupted update left; its volume stays"


def clear_network(stack: str) -> str | None:
    """Remove a network of the stack that an interrupted update left; return what to tell the operator, or None.

    Raises FleetError, and changes nothing, where the network is not this stack's or a container is connected. Stopped
    containers find their network by its name when they start.
    """
    name = naming.network_name(stack)
    with closing(host.connect()) as client, host.daemon_errors():
        try:
            network = client.networks.get(name)
        except NotFound:
            return None
        if (network.attrs["Labels"] or {}).get(naming.LABEL_STACK) != stack:
            raise FleetError(
                f"network {name}: was not made by this stack and is left as it is; fix: docker network rm {name} "
                f"(docker network inspect {name} shows what uses it)"
            )
        connected = sorted(each["Name"] for each in (network.attrs["Containers"] or {}).values())
        if connected:
            raise FleetError(
                f"network {name}: is not in the stack's state, but in use by {', '.join(connected)}; fix, where the "
                "state was lost and a copy exists: pulumi stack import --file COPY. Otherwise disconnect them, and the "
                "next up creates the network and the families' containers again, their volumes stay: "
                f"for each in {' '.join(connected)}; do docker network disconnect -f {name} $each; done"
            )
        network.remove()
    return f"removed the network {name}, which an interrupted update left"
