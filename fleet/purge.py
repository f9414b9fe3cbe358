"""Deletes a family's data. The only code in the project that removes a volume.

It refuses as long as anything still speaks for the family: a registry entry, or a container.
"""

from uuid import UUID

import docker
from docker.errors import APIError

from fleet import naming
from fleet.errors import FleetError
from fleet.host import Inventory
from fleet.registry import Registry


def volume_to_purge(registry: Registry, host: Inventory, stack: str, family: str) -> str:
    """Return the one volume that `family` (slug at creation, or UUID) left behind. Raises FleetError if in doubt."""
    matches = _matches(host, stack, family)
    _refuse_declared(registry, family, matches)
    if not matches:
        raise FleetError(f"{family}: this stack has no volume of that family on this host; nothing was deleted")
    if len(matches) > 1:
        ids = ", ".join(map(str, matches))
        raise FleetError(f"{family}: {len(matches)} families of that name left data ({ids}); name one by its id")
    family_id = matches[0]
    if family_id in {each.id for each in registry.families}:
        raise FleetError(f"{family}: still in {registry.path}; remove its entry and run pulumi up first")
    container = naming.container_name(family_id)
    if container in host.containers:
        raise FleetError(f"{family}: container {container} still exists; run pulumi up first, which removes it")
    return naming.volume_name(family_id)


def purge(client: docker.DockerClient, volume: str) -> None:
    """Delete the volume for good. Raises FleetError where Docker refuses, or does not answer."""
    try:
        client.api.remove_volume(volume)
    except APIError as error:
        raise FleetError(f"volume {volume} was not deleted: {error.explanation or error}") from error
    except OSError as error:
        what = f"docker: no answer whether volume {volume} was deleted ({error}); run the same command again"
        raise FleetError(what) from error


def _refuse_declared(registry: Registry, family: str, matches: list[UUID]) -> None:
    """Raise FleetError for the name of a registry entry: it means that family, whoever was created under it before."""
    if family not in {each.name for each in registry.families}:
        return
    left = [match for match in matches if match not in {each.id for each in registry.families}]
    other = f". Another family of that name left data; name it by its id: {', '.join(map(str, left))}" if left else ""
    raise FleetError(f"{family}: still in {registry.path}; remove its entry and run pulumi up first{other}")


def _matches(host: Inventory, stack: str, family: str) -> list[UUID]:
    wanted = _uuid(family)
    found = []
    for name, labels in host.volumes.items():
        family_id = _family_id(name)
        if family_id is None or labels.get(naming.LABEL_STACK, stack) != stack:
            continue
        if family_id == wanted or (wanted is None and labels.get(naming.LABEL_FAMILY) == family):
            found.append(family_id)
    return sorted(found)


def _family_id(volume: str) -> UUID | None:
    container, data, rest = volume.partition("-data")
    return naming.family_id_from_name(container) if data and not rest else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
