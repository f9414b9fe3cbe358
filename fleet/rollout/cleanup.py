"""Removes what a killed `up` left under a name of the fleet, just before the engine creates what is to stand there.

By then the engine has deleted every container it knows under a family's name. One that is still there, with this
stack's and this family's labels, was created by an `up` that died before it could write so down. The same goes for a
network with the stack's label.
"""

from contextlib import closing

import docker
from docker.errors import DockerException, NotFound

from fleet import host, naming
from fleet.errors import FleetError
from fleet.registry import Family
from fleet.settings import Settings


def clear_container(family: Family, settings: Settings) -> str | None:
    """Remove a leftover of a family and return what to tell the operator, or None.

    Never raises: the old container is gone by now, and a family whose creation is refused would be left without any.
    """
    name = naming.container_name(family.id)
    try:
        with closing(host.connect()) as client:
            was = remove_interrupted(client, name, settings.stack, settings.rollout.stop_grace)
    except (FleetError, DockerException, OSError) as error:
        return (
            f"{family.name}: whether an interrupted up left a container could not be seen to ({error}). If one is in "
            f"the way of this one: docker stop {name} && docker rm {name}, then up again; its volume stays"
        )
    if was is None:
        return None
    return f"{family.name}: removed a container ({was}) that an interrupted up had left; its volume stays"


def remove_interrupted(client: docker.DockerClient, name: str, stack: str, grace: int) -> str | None:
    """Remove a leftover of this name with `grace` seconds to drain, and return what it was, or None.

    A container with other labels is never touched: the create that follows then fails on its name. Its volume stays.
    """
    family_id = naming.family_id_from_name(name)
    try:
        container = client.containers.get(name)
        if family_id is None or container.name != name or not naming.owned_by(container.labels, stack, family_id):
            return None
        was = f"{container.short_id}, {container.status}"
        container.stop(timeout=grace)
        container.remove(force=True)
    except NotFound:
        return None
    return was


def clear_network(stack: str) -> str | None:
    """Remove a network of the stack that the engine does not know, and return what to tell the operator, or None.

    Raises FleetError, and touches nothing, where somebody else made the network or something running is attached.
    Containers that are stopped look for their network by its name when they start.
    """
    name = naming.network_name(stack)
    with closing(host.connect()) as client, host.asking():
        try:
            network = client.networks.get(name)
        except NotFound:
            return None
        if (network.attrs["Labels"] or {}).get(naming.LABEL_STACK) != stack:
            raise FleetError(
                f"network {name}: was not made by this stack, and is left as it is. Mend it with: docker network rm "
                f"{name} (docker network inspect {name} shows who made and who uses it)"
            )
        attached = sorted(each["Name"] for each in (network.attrs["Containers"] or {}).values())
        if attached:
            raise FleetError(
                f"network {name}: is not in the stack's state, but in use by {', '.join(attached)}. If the state was "
                "lost and there is a copy: pulumi stack import --file COPY. Otherwise take them off, and the next up "
                "makes the network and the families' containers anew, their volumes stay: "
                f"for each in {' '.join(attached)}; do docker network disconnect -f {name} $each; done"
            )
        network.remove()
    return f"removed the network {name}, which an interrupted up had left"
