"""The command `purge`: deletes a family's data. No other code in the project removes the volume of a family.

It refuses while a registry entry or a container of the family exists.
"""

from contextlib import closing
from typing import Annotated
from uuid import UUID

import docker
import typer
from docker.errors import APIError

from fleet import host, naming
from fleet.cli import Json, RegistryFile, Stack, show
from fleet.cli.registry import registry_path
from fleet.errors import FleetError
from fleet.host import Inventory
from fleet.registry import Registry, load_registry


def purge(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="Its UUID, or the name it was created under.")],
    yes: Annotated[str, typer.Option("--yes", metavar="FAMILY", help="The same again.", show_default=False)],
    registry: RegistryFile = None,
    stack: Stack = "dev",
    as_json: Json = False,
) -> None:
    """Delete the volume of a family that is no longer in the registry, for good.

    Example: hermes-fleet purge smith --yes smith
    """
    if yes != family:
        raise FleetError(f"--yes {yes} is not {family}; nothing was deleted")
    label = naming.stack_label(stack)
    declared = load_registry(registry_path(stack, registry))
    with closing(host.connect()) as client:
        volume = volume_to_purge(declared, host.list_fleet(client.api), label, family)
        delete_volume(client, volume)
    show(
        {"family": family, "volume": volume},
        f"{family}: volume {volume} and everything in it is deleted",
        as_json=as_json,
    )


def volume_to_purge(registry: Registry, inventory: Inventory, stack: str, family: str) -> str:
    """Return the one volume that `family` (slug at creation, or UUID) left. Raises FleetError if in doubt.

    The name of a registry entry means that family, whichever one was created under the name before.
    """
    declared = {each.id: each.name for each in registry.families}
    matches = _matches(inventory, stack, family)
    others = [str(match) for match in matches if match not in declared]
    if family in declared.values() or (len(matches) == 1 and not others):
        hint = f". Another family of that name left data; name it by its id: {', '.join(others)}" if others else ""
        raise FleetError(f"{family}: still in {registry.path}; remove its entry and run pulumi up first{hint}")
    if not matches:
        raise FleetError(f"{family}: this stack has no volume of that family on this host; nothing was deleted")
    if len(matches) > 1:
        ids = ", ".join(map(str, matches))
        raise FleetError(f"{family}: {len(matches)} families of that name left data ({ids}); name one by its id")
    container = naming.container_name(matches[0])
    if container in inventory.containers:
        raise FleetError(f"{family}: container {container} still exists; run pulumi up first, which removes it")
    return naming.volume_name(matches[0])


def delete_volume(client: docker.DockerClient, volume: str) -> None:
    """Delete the volume for good. Raises FleetError where Docker refuses, or does not answer."""
    try:
        client.api.remove_volume(volume)
    except APIError as error:
        raise FleetError(f"volume {volume} was not deleted: {error.explanation or error}") from error
    except OSError as error:
        raise FleetError(
            f"docker: no answer whether volume {volume} was deleted ({error}); run the same command again"
        ) from error


def _matches(inventory: Inventory, stack: str, family: str) -> list[UUID]:
    """Return the families of the stack with a volume that the word names: by UUID, or by the slug on its label."""
    try:
        wanted = UUID(family)
    except ValueError:
        wanted = None
    volumes = {
        naming.family_id_from_name(name.removesuffix("-data")): labels
        for name, labels in inventory.volumes.items()
        if name.endswith("-data") and labels.get(naming.LABEL_STACK, stack) == stack
    }
    return sorted(
        family_id
        for family_id, labels in volumes.items()
        if family_id and (family_id == wanted or (wanted is None and labels.get(naming.LABEL_FAMILY) == family))
    )
