"""Every input of a container, changed, replaces it once, and is read back as it was declared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fleet import stub_agent
from tests.support.fleet.changes import CHANGES
from tests.support.fleet.fleet import FleetUnderTest
from tests.support.pulumi.pulumi_stack import Run

UNCHANGED = "unchanged"


def config(**values: str) -> Callable[[FleetUnderTest], None]:
    """Return a change of the stack's config; `__` stands for a dot."""

    def change(fleet: FleetUnderTest) -> None:
        fleet.stack.configure({key.replace("__", "."): value for key, value in values.items()})

    return change


def other_plugins(fleet: FleetUnderTest) -> None:
    """Mount another directory of plugins."""
    folder = Path(fleet.folder) / "plugins"
    folder.mkdir(mode=0o755)
    config(pluginsDir=str(folder))(fleet)


# Each goes on from the one before it.
EVERYONE = {
    "interval": config(health__interval="1"),
    "model": config(llm__model="another"),
    "plugins version": config(pluginsVersion="2"),
    "plugins directory": other_plugins,
}


@dataclass(frozen=True)
class Changed:
    """Sleeping families named after what was changed of them, the `up` that changed it, and a refreshed plan after."""

    fleet: FleetUnderTest
    up: Run
    after: Run


def asleep(fleet: FleetUnderTest, *names: str) -> FleetUnderTest:
    """Bring families up without starting them: they change without a boot."""
    fleet.stack.configure({"newFamilies": "asleep"})
    fleet.declare(*names)
    fleet.up()
    return fleet


@pytest.fixture(scope="module")
def changed(new_fleet: Callable[[], FleetUnderTest]) -> Changed:
    """Return a fleet in which each family but one was changed in another way, all in one `up`."""
    fleet = asleep(new_fleet(), *CHANGES, UNCHANGED)
    for name, values in CHANGES.items():
        fleet.entry(name).update(values)
    fleet.entry("image")["image"] = stub_agent.build(fleet.client, "2")
    fleet.write()
    return Changed(fleet, fleet.up(), fleet.preview("--refresh"))


@pytest.fixture(scope="module")
def pair(new_fleet: Callable[[], FleetUnderTest]) -> FleetUnderTest:
    """Return two sleeping families."""
    return asleep(new_fleet(), "ash", "birch")


@pytest.mark.parametrize("name", CHANGES)
def test_an_input_of_one_family_replaces_its_container_once(changed: Changed, name: str) -> None:
    """One replace, and one update of the component that explains it; then silence, also after a refresh."""
    resource = changed.fleet.resource(name)
    assert changed.up.operations(resource) == {"Container": "replace", "FamilyRuntime": "update"}
    assert set(changed.after.operations(resource).values()) == {"same"}


def test_no_other_family_is_touched(changed: Changed) -> None:
    """A family between them all stays as it is."""
    assert set(changed.up.operations(changed.fleet.resource(UNCHANGED)).values()) == {"same"}
    assert changed.after.changed == {}


@pytest.mark.parametrize("name", EVERYONE)
def test_an_input_of_the_stack_replaces_every_container_once(pair: FleetUnderTest, name: str) -> None:
    """A change for all replaces each once, and is not done again with the next one."""
    EVERYONE[name](pair)
    run = pair.up()
    assert sorted(run.names("replace")) == sorted(pair.resource(each) for each in ("ash", "birch"))


def test_a_preview_shows_the_line_that_changes_and_no_secret(pair: FleetUnderTest) -> None:
    """What was changed for all is done; the component's inputs make readable what the container only calls secret."""
    assert pair.silent(refreshed=True)
    pair.entry("ash")["timezone"] = "Pacific/Auckland"
    pair.write()
    shown = pair.preview("--diff").text
    assert '=> "Pacific/Auckland"' in shown
    assert "[secret]" in shown
