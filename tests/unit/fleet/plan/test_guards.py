"""Each guard refuses what it is for, and lets it pass by name."""

from typing import Any
from uuid import uuid4

import pytest

from fleet.plan.guards import GUARDS, Policy, guarded, is_production
from fleet.plan.reader import read_plan
from tests.support.fleet.previews import digest, family_steps

NEW = {"credentials": "fedcba9876543210"}
PINNED = f"hermes@sha256:{'0' * 64}"


def _stay(*names: str) -> list[list[dict[str, Any]]]:
    return [family_steps(name) for name in names]


CASES: dict[str, list[list[dict[str, Any]]]] = {
    "volume": [*_stay("a", "b", "c", "d", "e"), family_steps("f", "delete", retained=False)],
    "mass-removal": [*_stay("a", "b"), family_steps("c", "delete")],
    "family-id": [
        *_stay("a", "b", "d", "e"),
        family_steps("c", "delete"),
        family_steps("c", "create", family_id=uuid4()),
    ],
    "hermes-line": [*_stay("a"), family_steps("b", "roll", new={"hermesLine": "0.15"})],
    "no-canary": [family_steps("a", "roll", new=NEW), family_steps("b", "roll", new=NEW)],
}


@pytest.mark.parametrize("name", CASES)
def test_a_guard_refuses_and_is_overridden_by_name(name: str) -> None:
    """Exit 3 with the reason; 2 once it is allowed; allowing another one does not help."""
    plan = read_plan(digest(*CASES[name]), stack="dev")
    refused = guarded(plan, Policy())
    assert [refusal.guard for refusal in refused.refused] == [name]
    assert refused.refused[0].why
    assert refused.exit_code == 3
    others = frozenset(GUARDS) - {name}
    assert guarded(plan, Policy(allowed=others)).exit_code == 3
    assert guarded(plan, Policy(allowed=frozenset({name}))).exit_code == 2


def test_a_family_does_not_get_the_memory_of_another() -> None:
    """Two ids that swap their names, and an id taken over from a family that goes, are changed ids as well."""
    stay = _stay("a", "b", "d", "e", "f", "g")
    smith, jones = uuid4(), uuid4()
    swapped = [
        family_steps("smith", "update", family_id=smith, new={"family": "jones"}, container={"op": "same"}),
        family_steps("jones", "update", family_id=jones, new={"family": "smith"}, container={"op": "same"}),
    ]
    taken_over = [
        family_steps("smith", "delete", family_id=smith),
        family_steps("jones", "update", family_id=jones, new={"family": "smith"}, container={"op": "same"}),
    ]
    for steps, names in ((swapped, {"smith", "jones"}), (taken_over, {"smith"})):
        plan = guarded(read_plan(digest(*stay, *steps), stack="dev"), Policy())
        assert {refusal.why.partition(":")[0] for refusal in plan.refused} == names
        assert {refusal.guard for refusal in plan.refused} == {"family-id"}


def test_a_name_may_be_handed_on_to_a_new_family() -> None:
    """Renaming one and giving its name to a new one moves no data."""
    renamed = family_steps("smith", "update", new={"family": "smith-senior"}, container={"op": "same"})
    plan = read_plan(digest(renamed, family_steps("smith", "create", family_id=uuid4())), stack="dev")
    assert guarded(plan, Policy()).exit_code == 2


def test_production_wants_a_digest() -> None:
    """By the stack's name or by flag; a pinned image passes, and so does any image elsewhere."""
    loose, pinned = (digest(family_steps("a", "create", new={"image": image})) for image in ("hermes:1", PINNED))
    assert guarded(read_plan(loose, stack="prod"), Policy()).exit_code == 3
    assert guarded(read_plan(loose, stack="home"), Policy(production=True)).exit_code == 3
    assert guarded(read_plan(loose, stack="prod"), Policy(allowed=frozenset({"image-digest"}))).exit_code == 2
    assert guarded(read_plan(pinned, stack="prod"), Policy()).exit_code == 2
    assert guarded(read_plan(loose, stack="home"), Policy()).exit_code == 2


@pytest.mark.parametrize(
    ("stack", "production"),
    [("prod", True), ("production", True), ("prod-eu", True), ("dev", False), ("product", False)],
)
def test_a_stack_is_marked_by_its_name(stack: str, production: bool) -> None:
    """`prod`, `production` and what begins with either and a separator."""
    assert is_production(stack) is production


def test_a_replaced_volume_is_refused_even_where_it_is_retained() -> None:
    """A volume that Pulumi wants to replace would come back empty or take its container along."""
    plan = read_plan(digest(family_steps("a", "roll", volume="replace")), stack="dev")
    assert {r.guard for r in guarded(plan, Policy(allowed=frozenset({"no-canary"}))).refused} == {"volume"}


def test_the_share_that_may_be_removed_is_the_reviewers() -> None:
    """One of three is over a fifth and under a half."""
    plan = read_plan(digest(*CASES["mass-removal"]), stack="dev")
    assert guarded(plan, Policy(max_removed=0.5)).exit_code == 2


def test_a_canary_in_the_roll_satisfies_the_guard() -> None:
    """So does a fleet of which a part stays, and one where no family is awake to be gated."""
    plan = read_plan(digest(*CASES["no-canary"]), stack="dev")
    assert guarded(plan, Policy(canaries=frozenset({"a"}))).exit_code == 2
    part = read_plan(digest(*CASES["no-canary"], family_steps("c")), stack="dev")
    assert guarded(part, Policy()).exit_code == 2
    asleep = read_plan(digest(*(family_steps(n, "roll", new=NEW, start=False) for n in "ab")), stack="dev")
    assert guarded(asleep, Policy()).exit_code == 2
