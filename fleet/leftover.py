"""Removes what a killed `up` left under a family's name, just before the family's container is created.

By then the engine has deleted every container it knows under that name. One that is still there, with this stack's
and this family's labels, was created by an `up` that died before it could write so down.
"""

import docker
from docker.errors import NotFound

from fleet import identity


def remove_leftover(client: docker.DockerClient, name: str, stack: str, grace: int) -> str | None:
    """Remove a leftover of this name with `grace` seconds to drain, and return what it was, or None.

    A container with other labels is never touched: the create that follows then fails on its name. Its volume stays.
    """
    family_id = identity.family_id_from_name(name)
    try:
        container = client.containers.get(name)
        if family_id is None or container.name != name or not identity.owned_by(container.labels, stack, family_id):
            return None
        was = f"{container.short_id}, {container.status}"
        container.stop(timeout=grace)
        container.remove(force=True)
    except NotFound:
        return None
    return was
