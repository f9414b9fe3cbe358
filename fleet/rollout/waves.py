"""In which order families are rolled: canaries, then the awake by waves, then all who sleep."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.host import Inventory
from fleet.naming import volume_name
from fleet.registry import Family
from fleet.settings import Settings


@dataclass(frozen=True)
class Placement:
    """How one family's container is declared.

    `start`: to be started and gated on its health. `recreate`: to be created again even if nothing else changed, as
    the host lacks it, or it runs although the family is suspended.
    """

    family: Family
    start: bool
    recreate: bool = False


@dataclass(frozen=True)
class WavePlan:
    """Waves, gated one after the other, then the sleepers, who wait for the last wave but not for each other."""

    waves: tuple[tuple[Placement, ...], ...]
    asleep: tuple[Placement, ...]

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Return every family's placement in the order in which they are rolled."""
        return (*itertools.chain.from_iterable(self.waves), *self.asleep)


def plan_waves(families: Sequence[Family], host: Inventory, settings: Settings) -> WavePlan:
    """Sort the registry's families by what the host shows of them. The order within a wave is the registry's."""
    placements = [place(family, host, settings) for family in families]
    canaries = tuple(p for p in placements if p.start and p.family.canary)
    awake = [p for p in placements if p.start and not p.family.canary]
    size = settings.rollout.wave_size
    waves = [tuple(awake[at : at + size]) for at in range(0, len(awake), size)]
    return WavePlan(
        waves=tuple(wave for wave in (canaries, *waves) if wave),
        asleep=tuple(p for p in placements if not p.start),
    )


def place(family: Family, host: Inventory, settings: Settings) -> Placement:
    """Decide whether a family is to run after a roll.

    Where no host was read, everyone counts as awake: a preview then shows the longest roll there can be.
    """
    seen = host.container(family.id)
    if family.state == "suspended":
        return Placement(family, start=False, recreate=host.read and (seen is None or seen.awake))
    if not host.read:
        return Placement(family, start=True)
    if seen is not None:
        return Placement(family, start=seen.awake or family.canary)
    came_back = volume_name(family.id) in host.volumes
    new_and_awake = not came_back and settings.new_families == "awake"
    return Placement(family, start=new_and_awake or family.canary, recreate=True)
