"""What a roll refuses to begin with, because data would be orphaned or a stranger touched."""

from collections.abc import Callable, Iterable

from fleet import naming
from fleet.container.inputs import ENV_LINE
from fleet.errors import FleetError, Problem
from fleet.hermes.lines import HERMES_LINES
from fleet.host import ContainerSummary, Inventory
from fleet.registry import Family
from fleet.settings import Settings

# So many names stand in one notice; the rest are counted.
_NAMED = 3

# Returns the environment of a container by its ID, as `NAME=value`.
ReadEnvironment = Callable[[str], Iterable[str]]


def refuse(families: Iterable[Family], host: Inventory, settings: Settings, read_environment: ReadEnvironment) -> None:
    """Raise FleetError with everything on the host that a roll must not run into."""
    families = tuple(families)
    problems = [
        *unmanaged(families, host, settings.stack),
        *changed_ids(families, host, settings.stack),
        *backward_lines(families, host, settings, read_environment),
        *too_many_processors(families, host),
    ]
    if problems:
        raise FleetError(problems)


def unmanaged(families: Iterable[Family], host: Inventory, stack: str) -> list[Problem]:
    """Find containers under a family's name that this stack did not make."""
    problems = []
    for family in families:
        seen = host.container(family.id)
        if seen is None or naming.owned_by(seen.labels, stack, family.id):
            continue
        other = seen.labels.get(naming.LABEL_STACK)
        if other and other != stack:
            what = f"belongs to stack {other}; give this family an id of its own, or remove it from that stack first"
        else:
            what = (
                f"was not made by this stack; take it over with its data: python -m fleet adopt --stack {stack} "
                f"(or rename it: docker rename {seen.name} old-{family.name})"
            )
        problems.append(Problem(f"{family.name}: container {seen.name}", what))
    return problems


def changed_ids(families: Iterable[Family], host: Inventory, stack: str) -> list[Problem]:
    """Find families that would begin anew beside a container of their name with another id: its data would stay behind.

    The label holds the name at creation. A family that has its own container is not the one that a label of old means.
    """
    families = tuple(families)
    declared = {family.id for family in families}
    ours = host.ours(stack)
    beginning = {family.name: family for family in families if family.id not in ours}
    problems = []
    for family_id, seen in ours.items():
        family = beginning.get(seen.labels.get(naming.LABEL_FAMILY, ""))
        if family is not None and family_id not in declared:
            what = (
                f"the registry says {family.id}, its container {seen.name} says {family_id}; a new id means an empty "
                f"memory. Put id {family_id} back; for another family of this name, remove the old one with an up first"
            )
            problems.append(Problem(f"{family.name}: id changed", what))
    return problems


def backward_lines(
    families: Iterable[Family], host: Inventory, settings: Settings, read_environment: ReadEnvironment
) -> list[Problem]:
    """Find families that already ran a newer Hermes line than the one declared; their database does not go back.

    Nothing is newer than the newest line, so the containers are only looked at on an older one.
    """
    declared = HERMES_LINES.index(settings.hermes_line)
    newer = HERMES_LINES[declared + 1 :]
    if not newer:
        return []
    ours = host.ours(settings.stack)
    problems = []
    for family in families:
        seen = ours.get(family.id)
        line = _line(seen, read_environment) if seen else None
        if line in newer:
            what = (
                f"runs Hermes {line}, the stack's config says {settings.hermes_line}; its database does not go back. "
                f"Mend it with: pulumi config set hermes-fleet:hermesLine {line} (and the image that goes with it)"
            )
            problems.append(Problem(f"{family.name}: hermesLine", what))
    return problems


def _line(seen: ContainerSummary, read_environment: ReadEnvironment) -> str | None:
    prefix = f"{ENV_LINE}="
    return next((e.removeprefix(prefix) for e in read_environment(seen.id) if e.startswith(prefix)), None)


def too_many_processors(families: Iterable[Family], host: Inventory) -> list[Problem]:
    """Find families that are to have more processors than the host has.

    Docker refuses to make such a container, which the provider finds out once the old one is deleted.
    """
    here = host.processors
    return [
        Problem(
            f"{family.name}: resources.cpus",
            f"{family.resources.cpus:g} is more than this Docker host has, which is {here}; mend it in the registry",
        )
        for family in families
        if here is not None and family.resources.cpus > here
    ]


def notices(families: Iterable[Family], host: Inventory, stack: str) -> list[str]:
    """Return what is worth saying before a roll: volumes that are taken over, strangers that are left alone."""
    families = tuple(families)
    said = []
    for family in families:
        name = naming.volume_name(family.id)
        labels = host.volumes.get(name)
        if labels is not None and not naming.owned_by(labels, stack, family.id):
            said.append(f"{family.name}: volume {name} was there before, without this stack's labels; its data is used")
    names = {naming.container_name(family.id) for family in families}
    return [*said, *_others(host, names, stack)]


def _others(host: Inventory, names: set[str], stack: str) -> list[str]:
    """Say once for each kind which containers with the fleet's prefix are left alone."""
    kinds: dict[str, list[str]] = {}
    for name, seen in sorted(host.containers.items()):
        owner = seen.labels.get(naming.LABEL_STACK)
        if name in names or owner == stack:
            continue
        kind = f"of stack {owner}" if owner else "orphaned by an older deployment"
        kinds.setdefault(kind if owner or naming.is_orphan(name) else "not made by any stack", []).append(name)
    return [
        f"left alone, {kind}: {len(found)} container{'s' * (len(found) > 1)} ({', '.join(found[:_NAMED])}"
        f"{', …' * (len(found) > _NAMED)})"
        for kind, found in kinds.items()
    ]
