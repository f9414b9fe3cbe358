"""A change touches only the family it is about."""

from collections.abc import Callable

import pytest

from tests.support.fleet.fleet import FleetUnderTest


def add(fleet: FleetUnderTest) -> None:
    """Declare one more."""
    fleet.declare("dogwood")


def remove(fleet: FleetUnderTest) -> None:
    """Declare one less."""
    fleet.families.remove(fleet.entry("cedar"))


def rename(fleet: FleetUnderTest) -> None:
    """Call a family by another name."""
    fleet.entry("birch")["name"] = "beech"


def reorder(fleet: FleetUnderTest) -> None:
    """Declare the same ones in another order."""
    fleet.families.reverse()


def sleep(fleet: FleetUnderTest) -> None:
    """Set other rules of sleep, which are the reaper's."""
    fleet.entry("ash")["sleep"] = {"idle_after": "45m"}


def tune(fleet: FleetUnderTest) -> None:
    """Roll in another way, which is no change of what is rolled."""
    fleet.stack.configure({"rollout.wave_size": "1", "rollout.health_timeout": "99"})


# Each change goes on from the one before it.
CHANGES: dict[Callable[[FleetUnderTest], None], dict[str, int]] = {
    add: {"create": 3},
    rename: {"update": 1},
    reorder: {},
    sleep: {},
    tune: {},
    remove: {"delete": 3},
}


@pytest.fixture(scope="module")
def trio(new_fleet: Callable[[], FleetUnderTest]) -> FleetUnderTest:
    """Return three families that are awake."""
    fleet = new_fleet()
    fleet.declare("ash", "birch", "cedar")
    fleet.up()
    return fleet


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_touch_no_other_family(trio: FleetUnderTest, change: Callable[[FleetUnderTest], None]) -> None:
    """Adding, removing, renaming and reordering, and tuning a roll or sleep, touch just the family they are about."""
    before = {trio.id(name): container for name, container in trio.ids().items()}
    change(trio)
    trio.write()
    assert trio.up().changed == CHANGES[change]
    after = {trio.id(name): container for name, container in trio.ids().items()}
    assert {family: at for family, at in after.items() if family in before} == {
        family: at for family, at in before.items() if family in after
    }
    assert len(after) == len(trio.families)


def test_all_of_it_is_done_once(trio: FleetUnderTest) -> None:
    """None of these changes is asked for again."""
    assert trio.silent()
