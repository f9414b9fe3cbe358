"""Preconditions of a roll. Each check finds what would orphan a family's data or touch an unmanaged container."""

from collections.abc import Callable, Iterable

from fleet import naming
from fleet.container.inputs import ENV_LINE
from fleet.errors import FleetError, Problem
from fleet.hermes.lines import HERMES_LINES
from fleet.host import ContainerSummary, Inventory
from fleet.registry import Family
from fleet.settings import Settings

# How many containers a notice names; it counts the others.
_NAMED = 3

# Returns the environment of a container by its id, as `NAME=value`.
ReadEnvironment = Callable[[str], Iterable[str]]


def check(
    families: Iterable[Family], inventory: Inventory, settings: Settings, read_environment: ReadEnvironment
) -> None:
    """Raise FleetError with the problems of all preconditions."""
    families = tuple(families)
    problems = [
        *unmanaged(families, inventory, settings.stack),
        *changed_ids(families, inventory, settings.stack),
        *backward_lines(families, inventory, settings, read_environment),
        *too_many_processors(families, inventory),
    ]
    if problems:
        raise FleetError(problems)


def unmanaged(families: Iterable[Family], inventory: Inventory, stack: str) -> list[Problem]:
    """Find containers under a family's name that this stack did not make."""
    problems = []
    for family in families:
        container = inventory.container(family.id)
        if container is None or naming.owned_by(container.labels, stack, family.id):
            continue
        other = container.labels.get(naming.LABEL_STACK)
        if other and other != stack:
            what = f"belongs to stack {other}; fix: give this family another id, or remove it from that stack first"
        else:
            what = (
                f"was not made by this stack; fix: python -m fleet adopt --stack {stack} takes it over with its "
                f"data (or rename it: docker rename {container.name} old-{family.name})"
            )
        problems.append(Problem(f"{family.name}: container {container.name}", what))
    return problems


def changed_ids(families: Iterable[Family], inventory: Inventory, stack: str) -> list[Problem]:
    """Find families whose id changed: the new one would start empty and orphan the old data.

    A container's label holds the family's name at creation. A family that has a container under its own id is not the
    one that an old label names.
    """
    families = tuple(families)
    declared = {family.id for family in families}
    ours = inventory.ours(stack)
    without_container = {family.name: family for family in families if family.id not in ours}
    problems = []
    for family_id, container in ours.items():
        family = without_container.get(container.labels.get(naming.LABEL_FAMILY, ""))
        if family is not None and family_id not in declared:
            what = (
                f"the registry has {family.id}, its container {container.name} has {family_id}, and a new id means an "
                f"empty memory; fix: put id {family_id} back (or, for another family of this name, remove the old one "
                "with an up first)"
            )
            problems.append(Problem(f"{family.name}: id changed", what))
    return problems


def backward_lines(
    families: Iterable[Family], inventory: Inventory, settings: Settings, read_environment: ReadEnvironment
) -> list[Problem]:
    """Find families that ran a newer Hermes line than the declared one, which cannot open their database.

    Where the newest line is declared, no container is read.
    """
    newer = HERMES_LINES[HERMES_LINES.index(settings.hermes_line) + 1 :]
    if not newer:
        return []
    ours = inventory.ours(settings.stack)
    problems = []
    for family in families:
        container = ours.get(family.id)
        line = _line(container, read_environment) if container else None
        if line in newer:
            what = (
                f"runs Hermes {line}, the stack's config says {settings.hermes_line}; its database does not go back; "
                f"fix: pulumi config set hermes-fleet:hermesLine {line} (and the image of that line)"
            )
            problems.append(Problem(f"{family.name}: hermesLine", what))
    return problems


def _line(container: ContainerSummary, read_environment: ReadEnvironment) -> str | None:
    prefix = f"{ENV_LINE}="
    return next((e.removeprefix(prefix) for e in read_environment(container.id) if e.startswith(prefix)), None)


def too_many_processors(families: Iterable[Family], inventory: Inventory) -> list[Problem]:
    """Find families that ask for more processors than the host has.

    Docker refuses to create such a container, and by then the provider has deleted the old one.
    """
    return [
        Problem(
            f"{family.name}: resources.cpus",
            f"{family.resources.cpus:g} is more than this Docker host has, which is {inventory.processors}; "
            "fix: lower it in the registry",
        )
        for family in families
        if inventory.processors is not None and family.resources.cpus > inventory.processors
    ]


def notices(families: Iterable[Family], inventory: Inventory, stack: str) -> list[str]:
    """Return what an operator should know before a roll: volumes taken over, unmanaged containers left alone."""
    families = tuple(families)
    found = []
    for family in families:
        name = naming.volume_name(family.id)
        labels = inventory.volumes.get(name)
        if labels is not None and not naming.owned_by(labels, stack, family.id):
            found.append(
                f"{family.name}: volume {name} was there before, without this stack's labels; its data is used"
            )
    return [*found, *_left_alone(inventory, {naming.container_name(family.id) for family in families}, stack)]


def _left_alone(inventory: Inventory, names: set[str], stack: str) -> list[str]:
    """Return a line for each kind of container with the fleet's prefix that is not this stack's."""
    kinds: dict[str, list[str]] = {}
    for name, container in sorted(inventory.containers.items()):
        owner = container.labels.get(naming.LABEL_STACK)
        if name in names or owner == stack:
            continue
        kind = f"of stack {owner}" if owner else "orphaned by an older deployment"
        kinds.setdefault(kind if owner or naming.is_orphan(name) else "not made by any stack", []).append(name)
    return [
        f"left alone, {kind}: {len(found)} container{'s' * (len(found) > 1)} ({', '.join(found[:_NAMED])}"
        f"{', …' * (len(found) > _NAMED)})"
        for kind, found in kinds.items()
    ]
