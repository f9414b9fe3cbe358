"""Preconditions of a roll."""

from dataclasses import replace
from uuid import uuid4

import pytest

from fleet import naming
from fleet.errors import FleetError
from fleet.host import ContainerSummary
from fleet.rollout.checks import check, notices
from tests.support.fleet.families import STACK, make_family, make_host, make_seen, make_settings


def nothing(_: str) -> list[str]:
    """Read no environment."""
    return []


def test_our_own_containers_pass() -> None:
    """A fleet that an update made is rolled again."""
    families = [make_family("a"), make_family("b")]
    check(families, make_host(*map(make_seen, families)), make_settings(), nothing)


def test_an_unmanaged_container_on_a_familys_name_is_an_error_with_its_fix() -> None:
    """Every one is listed; adopt is offered for unlabelled ones, not for another stack's."""
    plain, foreign = make_family("a"), make_family("b")
    unlabelled = ContainerSummary("1", naming.container_name(plain.id), "running")
    inventory = make_host(unlabelled, make_seen(foreign, labels={naming.LABEL_STACK: "other"}))
    with pytest.raises(FleetError) as caught:
        check([plain, foreign], inventory, make_settings(), nothing)
    first, second = map(str, caught.value.problems)
    assert "a: container hermes-user-" in first
    assert "python -m fleet adopt --stack" in first
    assert "belongs to stack other" in second


def test_a_changed_id_is_refused() -> None:
    """The same name with another id would orphan the family's memory."""
    old = make_family("smith")
    new = make_family("smith")
    with pytest.raises(FleetError, match=f"put id {old.id} back"):
        check([new], make_host(make_seen(old)), make_settings(), nothing)


def test_a_name_handed_on_to_a_new_family_is_fine_while_the_old_one_is_declared() -> None:
    """Renaming a family and giving its old name to another orphans no data."""
    old = make_family("smith")
    renamed = make_family("smith-senior", id=str(old.id))
    check([renamed, make_family("smith")], make_host(make_seen(old)), make_settings(), nothing)


def test_a_family_renamed_long_ago_may_be_removed_although_another_has_its_old_name() -> None:
    """The label holds the name at creation; the family that has it now has a container of its own."""
    renamed, named_so_now = make_family("smith"), make_family("smith")
    check([named_so_now], make_host(make_seen(renamed), make_seen(named_so_now)), make_settings(), nothing)


def test_going_back_to_an_older_line_is_refused_for_families_that_ran_the_newer() -> None:
    """A database written by 0.19 is not opened by 0.15; families that never ran 0.19 are not named."""
    ahead, behind = make_family("ahead"), make_family("behind")
    inventory = make_host(make_seen(ahead, id="new"), make_seen(behind, id="old"))
    lines = {"new": ["PATH=/bin", "HERMES_FLEET_LINE=0.19"], "old": ["HERMES_FLEET_LINE=0.15"]}
    with pytest.raises(FleetError) as caught:
        check([ahead, behind], inventory, make_settings(hermes_line="0.15"), lambda found: lines[found])
    assert [problem.where for problem in caught.value.problems] == ["ahead: hermesLine"]


def test_the_newest_line_asks_no_container() -> None:
    """Nothing can go backwards from the newest line, so nothing is read."""
    family = make_family("a")

    def never(_: str) -> list[str]:
        raise AssertionError

    check([family], make_host(make_seen(family)), make_settings(), never)


def test_a_volume_without_our_labels_is_taken_over_with_a_notice() -> None:
    """The operator is told that a family uses data that existed before."""
    family = make_family("a")
    found = list(notices([family], make_host(volumes_of=(family.id,)), STACK))
    assert found == [
        f"a: volume {naming.volume_name(family.id)} was there before, without this stack's labels; its data is used"
    ]


def test_unmanaged_containers_beside_the_fleet_are_reported_not_touched() -> None:
    """One line for each kind of container with our prefix, without those of families that left the registry."""
    removed, elsewhere = make_family("gone"), make_family("other")
    orphans = [ContainerSummary(str(at), f"hermes-user-usr_{at}", "running") for at in range(5)]
    foreign = ContainerSummary("9", f"hermes-user-{uuid4().hex}", "running")
    neighbour = make_seen(elsewhere, labels={naming.LABEL_STACK: "other"})
    inventory = replace(make_host(make_seen(removed), *orphans, foreign, neighbour), volumes={})
    found = list(notices([], inventory, STACK))
    assert len(found) == 3
    assert any("orphaned by an older deployment: 5 containers (hermes-user-usr_0," in line for line in found)
    assert any(f"not made by any stack: 1 container ({foreign.name})" in line for line in found)
    assert any("of stack other: 1 container" in line for line in found)


def test_more_processors_than_the_host_has_are_refused_before_anything_is_deleted() -> None:
    """Docker refuses only after the old container is deleted. Every such family is named, beside other problems."""
    families = [make_family(name, resources={"cpus": cpus}) for name, cpus in (("a", 2), ("b", 2.5), ("c", 4))]
    for enough in (4, None):
        check(families, replace(make_host(), processors=enough), make_settings(), nothing)
    unmanaged = ContainerSummary("1", naming.container_name(families[0].id), "running")
    with pytest.raises(FleetError) as caught:
        check(families, replace(make_host(unmanaged), processors=2), make_settings(), nothing)
    assert [problem.where.partition(":")[0] for problem in caught.value.problems] == ["a", "b", "c"]
    assert "b: resources.cpus: 2.5 is more than this Docker host has, which is 2" in str(caught.value)
