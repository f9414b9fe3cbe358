"""The command `adopt`: takes over a fleet that was started by `docker run`, and keeps its volumes.

Pulumi cannot turn a container that it did not create into one of its own. So each is stopped with grace and removed by
ID; the next `pulumi up` declares the family on its volume.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import docker
from docker.errors import APIError, NotFound

from fleet import host, naming
from fleet.cli import DryRun, Json, RegistryFile, Stack, say, show
from fleet.cli.registry import registry_here
from fleet.errors import FleetError, Problem
from fleet.host import ContainerSummary, Inventory
from fleet.naming import DATA
from fleet.registry import Family, load_registry
from fleet.registry.reader import display_path

STOP_GRACE_SECONDS = 30


class Candidate(NamedTuple):
    """A container to take over, and the family it belongs to."""

    family: Family
    container: ContainerSummary


def adopt(registry: RegistryFile = None, stack: Stack = "dev", dry_run: DryRun = False, as_json: Json = False) -> None:
    """Stop and remove the registry's containers that carry no stack's labels, and keep their volumes.

    Example: hermes-fleet adopt --dry-run
    """
    declared = load_registry(registry_here(stack, registry))
    with closing(host.connect()) as client:
        found = candidates(declared.families, host.list_fleet(client.api))
        check(client, found)
        if not dry_run:
            take_over(client, found, (lambda _: None) if as_json else say)
    rows = [{"name": family.name, "container": container.name, "id": container.id} for family, container in found]
    if not found:
        text = f"nothing to adopt: no family of {display_path(declared.path)} has a container without a stack's labels"
    elif dry_run:
        text = "\n".join("{name}: would stop and remove {container}, and keep its volume".format(**row) for row in rows)
    else:
        text = "next: pulumi up (or make up) declares them on their volumes, asleep; ensure or docker start wakes them"
    show(rows, text, as_json=as_json)


def candidates(families: Iterable[Family], inventory: Inventory) -> list[Candidate]:
    """Return the families' containers that carry no stack's label."""
    return [
        Candidate(family, seen)
        for family in families
        if (seen := inventory.container(family.id)) and naming.LABEL_STACK not in seen.labels
    ]


def check(client: docker.DockerClient, found: Iterable[Candidate]) -> None:
    """Raise FleetError, with every problem, where the data of a family is not on its volume.

    A container that is gone by now is no problem: `take_over` says so.
    """
    _for_each(found, partial(_check_data, client))


def _check_data(client: docker.DockerClient, family: Family, container: ContainerSummary) -> None:
    try:
        mounts = client.api.inspect_container(container.id)["Mounts"]
    except NotFound:
        return
    data: Mapping[str, Any] = next((mount for mount in mounts if mount["Destination"].rstrip("/") == DATA), {})
    volume = naming.volume_name(family.id)
    if data.get("Type") != "volume" or data.get("Name") != volume:
        place = f"in {data.get('Name') or data.get('Source')}" if data else "inside the container"
        raise FleetError(
            f"its data is {place}, not in volume {volume}; nothing was touched. fix: stop it and copy the data: "
            f"docker cp -a {container.name}:{DATA}/. - | "
            f"docker run --rm -i -v {volume}:{DATA} --entrypoint tar IMAGE -x -C {DATA}; "
            f"then: docker rename {container.name} old-{family.name}"
        )


def take_over(client: docker.DockerClient, found: Iterable[Candidate], report: Callable[[str], None]) -> None:
    """Stop each container with grace and remove it by ID. Volumes are never removed.

    Raises FleetError with those that failed, after all were tried.
    """

    def remove(family: Family, container: ContainerSummary) -> None:
        try:
            client.api.stop(container.id, timeout=STOP_GRACE_SECONDS)
            client.api.remove_container(container.id, v=False, force=False)
        except NotFound:
            report(f"{family.name}: its container is gone already")
        else:
            report(
                f"{family.name}: container {container.id[:12]} stopped and removed, "
                f"volume {naming.volume_name(family.id)} kept"
            )

    _for_each(found, remove)


def _for_each(found: Iterable[Candidate], act: Callable[[Family, ContainerSummary], None]) -> None:
    """Call `act` for every candidate. Raises FleetError with those that failed, after all were tried."""
    problems = []
    for family, container in found:
        try:
            act(family, container)
        except (FleetError, APIError, OSError) as error:
            problems.append(Problem(f"{family.name}: container {container.name}", _reason(error)))
    if problems:
        raise FleetError(problems)


def _reason(error: Exception) -> str:
    if isinstance(error, APIError):
        return str(error.explanation or error)
    return str(error) if isinstance(error, FleetError) else f"docker: no answer ({error}); run the same command again"
