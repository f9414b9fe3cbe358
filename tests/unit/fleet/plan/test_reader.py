"""What is read out of a preview."""

from typing import Any

from fleet.plan.reader import read_plan
from tests.support.fleet.previews import digest, family_steps

NEW = {"credentials": "fedcba9876543210"}


def test_a_preview_without_changes_is_exit_0() -> None:
    """Families that stay are counted, nothing else is said."""
    plan = read_plan(digest(family_steps("ash"), family_steps("birch")), stack="dev")
    assert (plan.unchanged, plan.before, plan.changes, plan.exit_code) == (2, 2, (), 0)


def test_families_are_sorted_by_what_happens_to_them() -> None:
    """Added, rolled, removed with its volume's name, redescribed."""
    plan = read_plan(
        digest(
            family_steps("ash", "create"),
            family_steps("birch", "roll", new=NEW),
            family_steps("cedar", "delete"),
            family_steps("dogwood", "update", new={"family": "elm"}, container={"op": "same"}),
            family_steps("fir"),
        ),
        stack="dev",
    )
    assert [(change.name, change.kind) for change in plan.changes] == [
        ("ash", "added"),
        ("birch", "rolled"),
        ("cedar", "removed"),
        ("elm", "noted"),
    ]
    assert plan.of("removed")[0].volume.endswith("-data")
    assert (plan.unchanged, plan.before, plan.exit_code) == (1, 4, 2)


def test_reasons_name_each_input_and_never_a_credential() -> None:
    """Image, config lines, limits; of credentials only that they changed."""
    new = {**NEW, "image": "hermes:2", "config": "timezone: Asia/Tokyo\n", "limits": {"memoryMiB": 1, "cpus": 1}}
    (change,) = read_plan(digest(family_steps("ash", "roll", new=new)), stack="dev").changes
    reasons = {reason.what: reason.detail for reason in change.reasons}
    assert reasons["credentials"] == ""
    assert reasons["image"] == "hermes:1 -> hermes:2"
    assert reasons["config"] == "-timezone: UTC\n+timezone: Asia/Tokyo"
    assert '"memoryMiB": 1' in reasons["limits"]


def test_an_input_that_has_no_words_of_its_own_is_named_too() -> None:
    """No roll is without its reason: a new input is told by its own name, one of many lines by those that differ."""
    old, new = {"motto": "a\nb\n"}, {"motto": "a\nc\n", "nickname": "Al", "toolsets": ["file"]}
    (change,) = read_plan(digest(family_steps("ash", "roll", old=old, new=new)), stack="dev").changes
    assert [(reason.what, reason.detail) for reason in change.reasons] == [
        ("motto", "-b\n+c"),
        ("nickname", "null -> Al"),
    ]


def test_a_container_that_is_rolled_alone_says_why() -> None:
    """A gate that failed, a container gone from the host, the files it boots from, anything else by its name."""
    said: dict[str, tuple[dict[str, Any], str]] = {
        "initErrors": ({"oldState": {"initErrors": ["unhealthy"]}}, "it did not pass its gate at the last up"),
        "gone": ({"replaceReasons": ["containerReadRefreshTimeoutMilliseconds"]}, "its container is gone from"),
        "files": ({"replaceReasons": ["uploads"], "diffReasons": ["uploads"]}, "the files it boots from"),
        "other": ({"replaceReasons": ["dns"]}, "inputs of its container"),
        "state": ({"op": "create"}, "its container is not in the state any more"),
    }
    for container, expected in said.values():
        steps = family_steps("ash", "same", container={"op": "replace", **container})
        (change,) = read_plan(digest(steps), stack="dev").changes
        assert change.kind == "rolled"
        assert change.reasons[0].what.startswith(expected)


def test_waves_are_told_from_what_containers_wait_for() -> None:
    """Canary first, then waves; sleepers are in none; one that is unchanged still holds its place."""
    plan = read_plan(
        digest(
            family_steps("canary", "roll", new=NEW),
            family_steps("ash", "roll", new=NEW, after=("canary",)),
            family_steps("birch", "same", after=("canary",)),
            family_steps("cedar", "roll", new=NEW, after=("ash", "birch")),
            family_steps("dozy", "roll", new=NEW, start=False, after=("cedar",)),
        ),
        stack="dev",
    )
    assert plan.waves == (("canary",), ("ash",), ("cedar",))
    assert [change.name for change in plan.of("rolled") if not change.started] == ["dozy"]


def test_a_wave_that_stays_as_it_is_still_holds_its_place() -> None:
    """The engine gives a container that stays its old inputs back: created asleep, it does not look started."""
    plan = read_plan(
        digest(
            family_steps("canary", "roll", new=NEW),
            family_steps("ash", "same", start=False, after=("canary",)),
            family_steps("birch", "roll", new=NEW, after=("ash",)),
            family_steps("cedar", "delete"),
        ),
        stack="dev",
    )
    assert plan.waves == (("canary",), ("birch",))


def test_a_preview_that_did_not_read_the_host_says_so() -> None:
    """The program's own warning tells whether live state was read; it is no note besides."""
    warning = ("warning", "live state was not read, every family counts as awake (no daemon)")
    blind = read_plan(digest(family_steps("ash"), diagnostics=(warning, ("warning", "another"))), stack="dev")
    assert (blind.live, blind.notes) == (False, ("another",))
    assert read_plan(digest(family_steps("ash")), stack="dev").live


def test_who_is_suspended_is_stopped_where_it_is_not_known_that_they_sleep() -> None:
    """An `up` replaces the container of a family that runs; where the host was read, the container says so itself."""
    suspended = family_steps("ash", "update", new={"state": "suspended"}, container={"op": "same"})
    unread = ("warning", "live state was not read, every family counts as awake (no daemon)")
    (blind,) = read_plan(digest(suspended, diagnostics=(unread,)), stack="dev").changes
    assert (blind.kind, blind.started, blind.reasons[0].detail) == ("rolled", False, "active -> suspended")
    (asleep,) = read_plan(digest(suspended), stack="dev").changes
    assert asleep.kind == "noted"


def test_errors_are_exit_1_and_the_programs_own_refusals_exit_3() -> None:
    """What `up` would refuse is a guard's refusal that cannot be allowed."""
    failed = read_plan(digest(diagnostics=(("error", "families.yaml:3:1: bad"),)), stack="dev")
    assert (failed.exit_code, failed.errors) == (1, ("families.yaml:3:1: bad",))
    refused = read_plan(digest(diagnostics=(("error", "smith: id changed: the registry says 1"),)), stack="dev")
    assert refused.exit_code == 3
    assert [(r.guard, r.final) for r in refused.refusals] == [("family-id", True)]
