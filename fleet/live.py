"""The families of a registry beside what the host shows of them: who is awake, and where."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleet.host import ContainerSummary, Inventory
from fleet.registry import Family

_BEFORE_HEALTH = "health: starting"


@dataclass(frozen=True)
class FamilyStatus:
    """One family now. `url` is where its API answers on this host, None while it sleeps."""

    name: str
    id: str
    state: str
    url: str | None


def family_statuses(families: Iterable[Family], host: Inventory, stack: str) -> list[FamilyStatus]:
    """Return every declared family with its live state, in the registry's order."""
    ours = host.ours(stack)
    return [_live(family, ours.get(family.id), host.container(family.id)) for family in families]


def _live(family: Family, own: ContainerSummary | None, any_container: ContainerSummary | None) -> FamilyStatus:
    url = f"http://127.0.0.1:{own.port}" if own and own.port else None
    return FamilyStatus(family.name, str(family.id), _state(family, own, any_container), url)


def _state(family: Family, own: ContainerSummary | None, any_container: ContainerSummary | None) -> str:
    if own is None:
        return "stranger" if any_container else "not provisioned"
    if own.state != "running":
        asleep = "suspended" if family.state == "suspended" else "asleep"
        return asleep if not own.awake else own.state
    if _BEFORE_HEALTH in own.status:
        return "starting"
    return "unhealthy" if "unhealthy" in own.status else "awake"
