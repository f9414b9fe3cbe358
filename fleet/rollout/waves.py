"""The order of a roll: canaries, then the awake families in waves, then all that are asleep."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.host import Inventory
from fleet.naming import volume_name
from fleet.registry import Family
from fleet.settings import Settings


@dataclass(frozen=True)
class Placement:
    """How a family's container is declared.

    `start`: it is started and must turn healthy. `recreate`: it is created again even if no input changed, because the
    host lacks it, or because it runs although the family is suspended.
    """

    family: Family
    start: bool
    recreate: bool = False


@dataclass(frozen=True)
class WavePlan:
    """Waves, each gated on the one before, then the sleepers, which wait for the last wave but not for each other."""

    waves: tuple[tuple[Placement, ...], ...]
    asleep: tuple[Placement, ...]

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Return every family's placement in the order of the roll."""
        return (*(placement for wave in self.waves for placement in wave), *self.asleep)


def plan_waves(families: Sequence[Family], inventory: Inventory, settings: Settings) -> WavePlan:
    """Sort families into waves by their containers. Within a wave they keep the registry's order."""
    placements = [place(family, inventory, settings) for family in families]
    canaries = tuple(p for p in placements if p.start and p.family.canary)
    awake = [p for p in placements if p.start and not p.family.canary]
    size = settings.rollout.wave_size
    waves = [tuple(awake[at : at + size]) for at in range(0, len(awake), size)]
    return WavePlan(
        waves=tuple(wave for wave in (canaries, *waves) if wave),
        asleep=tuple(p for p in placements if not p.start),
    )


def place(family: Family, inventory: Inventory, settings: Settings) -> Placement:
    """Decide whether a family runs after a roll.

    Where the host was not read, every family counts as awake: a preview then shows the longest possible roll.
    """
    container = inventory.container(family.id)
    if family.state == "suspended":
        stale = container is None or container.awake
        return Placement(family, start=False, recreate=inventory.read and stale)
    if not inventory.read:
        return Placement(family, start=True)
    if container is not None:
        return Placement(family, start=container.awake or family.canary)
    came_back = volume_name(family.id) in inventory.volumes
    new_and_awake = not came_back and settings.new_families == "awake"
    return Placement(family, start=new_and_awake or family.canary, recreate=True)
