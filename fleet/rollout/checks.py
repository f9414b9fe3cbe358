"""Preconditions of a roll. Each check finds what would orphan a family's data or touch an unmanaged container."""

from collections.abc import Callable, Iterable, Iterator, Sequence

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
    families: Sequence[Family], inventory: Inventory, settings: Settings, read_environment: ReadEnvironment
) -> None:
    """Raise FleetError with the problems of all preconditions."""
    problems = [
        *unmanaged(families, inventory, settings.stack),
        *changed_ids(families, inventory, settings.stack),
        *backward_lines(families, inventory, settings, read_environment),
        *too_many_processors(families, inventory),
    ]
    if problems:
        raise FleetError(problems)


def unmanaged(families: Iterable[Family], inventory: Inventory, stack: str) -> Iterator[Problem]:
    """Find containers under a family's name that this stack did not make."""
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
        yield Problem(f"{family.name}: container {container.name}", what)


def changed_ids(families: Sequence[Family], inventory: Inventory, stack: str) -> Iterator[Problem]:
    """Find families whose id changed: the new one would start empty and orphan the old data.

    A container's label holds the family's name at creation. A family that has a container under its own id is not the
    one that an old label names.
    """
    declared = {family.id for family in families}
    ours = inventory.ours(stack)
    without_container = {family.name: family for family in families if family.id not in ours}
    for family_id, container in ours.items():
        family = without_container.get(container.labels.get(naming.LABEL_FAMILY, ""))
        if family is not None and family_id not in declared:
            what = (
                f"the registry has {family.id}, its container {container.name} has {family_id}, and a new id means an "
                f"empty memory; fix: put id {family_id} back (or, for another family of this name, remove the old one "
                "with an up first)"
            )
            yield Problem(f"{family.name}: id changed", what)


def backward_lines(
    families: Iterable[Family], inventory: Inventory, settings: Settings, read_environment: ReadEnvironment
) -> Iterator[Problem]:
    """Find families that ran a newer Hermes line than the declared one, which cannot open their database.

    Where the newest line is declared, no container is read.
    """
    newer = HERMES_LINES[HERMES_LINES.index(settings.hermes_line) + 1 :]
    ours = inventory.ours(settings.stack) if newer else {}
    for family in families:
        container = ours.get(family.id)
        line = _line(container, read_environment) if container else None
        if line in newer:
            what = (
                f"runs Hermes {line}, the stack's config says {settings.hermes_line}; its database does not go back; "
                f"fix: pulumi config set hermes-fleet:hermesLine {line} (and the image of that line)"
            )
            yield Problem(f"{family.name}: hermesLine", what)


def _line(container: ContainerSummary, read_environment: ReadEnvironment) -> str | None:
    prefix = f"{ENV_LINE}="
    return next((e.removeprefix(prefix) for e in read_environment(container.id) if e.startswith(prefix)), None)


def too_many_processors(families: Iterable[Family], inventory: Inventory) -> Iterator[Problem]:
    """Find families that ask for more processors than the host has.

    Docker refuses to create such a container, and by then the provider has deleted the old one.
    """
    for family in families:
        if inventory.processors is not None and family.resources.cpus > inventory.processors:
            yield Problem(
                f"{family.name}: resources.cpus",
                f"{family.resources.cpus:g} is more than this Docker host has, which is {inventory.processors}; "
                "fix: lower it in the registry",
            )


def notices(families: Sequence[Family], inventory: Inventory, stack: str) -> Iterator[str]:
    """Yield what an operator should know before a roll: volumes taken over, unmanaged containers left alone."""
    for family in families:
        name = naming.volume_name(family.id)
        labels = inventory.volumes.get(name)
        if labels is not None and not naming.owned_by(labels, stack, family.id):
            yield f"{family.name}: volume {name} was there before, without this stack's labels; its data is used"
    declared = {naming.container_name(family.id) for family in families}
    kinds: dict[str, list[str]] = {}
    for name, container in sorted(inventory.containers.items()):
        if name not in declared and container.labels.get(naming.LABEL_STACK) != stack:
            kinds.setdefault(_kind(container), []).append(name)
    for kind, names in kinds.items():
        named = ", ".join(names[:_NAMED]) + ", …" * (len(names) > _NAMED)
        yield f"left alone, {kind}: {len(names)} container{'s' * (len(names) > 1)} ({named})"


def _kind(container: ContainerSummary) -> str:
    owner = container.labels.get(naming.LABEL_STACK)
    if owner:
        return f"of stack {owner}"
    return "orphaned by an older deployment" if naming.is_orphan(container.name) else "not made by any stack"
