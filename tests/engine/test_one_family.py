"""What is declared of one family, or happens to it, is about that one alone; its data outlives everything."""

from collections.abc import Callable

import pytest

from fleet import naming
from tests.support.fleet.fleet import FleetUnderTest


@pytest.fixture(scope="module")
def settled(new_fleet: Callable[[], FleetUnderTest]) -> FleetUnderTest:
    """Return families that are awake and have something to remember; each test is about another one."""
    fleet = new_fleet()
    fleet.declare("ash", "birch", "cedar", "dogwood")
    fleet.up()
    for entry in fleet.families:
        fleet.put(entry["name"], "memory.txt", "do not forget")
    return fleet


def touched(fleet: FleetUnderTest, before: dict[str, str]) -> set[str]:
    """Return the families whose container is another one than before, or gone."""
    after = fleet.ids()
    return {name for name in before if before[name] != after.get(name)}


def remembers(fleet: FleetUnderTest, name: str) -> bool:
    """Tell whether a family's data is what it was."""
    return (fleet.data(name) / "memory.txt").read_text() == "do not forget"


def test_labels_say_who_owns_what(settled: FleetUnderTest) -> None:
    """Container and volume carry the ownership labels; nothing else of the registry is in them."""
    labels = settled.container("ash").labels
    assert labels[naming.LABEL_STACK] == settled.stack.name
    assert labels[naming.LABEL_FAMILY] == "ash"
    assert labels[naming.LABEL_ID] == str(settled.id("ash"))
    assert labels[naming.LABEL_START] == "awake"
    assert len(labels[naming.LABEL_CREDENTIALS]) == 16
    volume = settled.client.volumes.get(settled.volume("ash")).attrs["Labels"]
    assert volume == naming.family_labels(settled.stack.name, "ash", settled.id("ash"))


def test_a_healthy_family_that_is_suspended_is_stopped(settled: FleetUnderTest) -> None:
    """Suspending removes the running container, keeps the data and touches no other family."""
    before = settled.ids()
    settled.entry("birch")["state"] = "suspended"
    settled.write()
    assert settled.up().names("replace") == [settled.resource("birch")]
    assert settled.state("birch") == "created"
    assert touched(settled, before) == {"birch"}
    assert remembers(settled, "birch")


def test_removed_and_put_back_a_family_finds_its_data(settled: FleetUnderTest) -> None:
    """Removal keeps the volume; the family that comes back is created asleep on it."""
    before = settled.ids()
    gone = settled.entry("cedar")
    settled.families.remove(gone)
    settled.write()
    settled.up()
    settled.families.append(gone)
    settled.write()
    assert settled.state("cedar") == "gone"
    settled.up()
    assert settled.state("cedar") == "created"
    assert touched(settled, before) == {"cedar"}
    assert remembers(settled, "cedar")


def test_a_container_removed_behind_pulumis_back_comes_back(settled: FleetUnderTest) -> None:
    """The listing sees what the engine does not: just that family is created again, and then all is quiet."""
    before = settled.ids()
    settled.container("dogwood").remove(force=True)
    run = settled.up()
    assert run.names("replace") == [settled.resource("dogwood")]
    assert settled.state("dogwood") == "created"
    assert touched(settled, before) == {"dogwood"}
    assert remembers(settled, "dogwood")
    assert settled.up("--refresh").changed == {}
