"""The order of a roll, and which families are started."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.host import Inventory
from fleet.rollout.waves import WavePlan, place, plan_waves
from fleet.settings import Rollout
from tests.support.fleet.families import make_family, make_host, make_seen, make_settings

STATES = ["running", "restarting", "paused", "created", "exited", "dead"]


def names(plan: WavePlan) -> tuple[list[list[str]], list[str]]:
    """Return a plan as names."""
    return [[p.family.name for p in wave] for wave in plan.waves], [p.family.name for p in plan.asleep]


def test_canaries_then_waves_then_sleepers() -> None:
    """Canaries are wave 0, the awake follow by wave size in the registry's order, sleepers come last."""
    families = [make_family(name, canary=name == "e") for name in "abcdef"]
    inventory = make_host(*(make_seen(f, "exited" if f.name == "b" else "running") for f in families))
    plan = plan_waves(families, inventory, make_settings(rollout=Rollout(wave_size=2)))
    assert names(plan) == ([["e"], ["a", "c"], ["d", "f"]], ["b"])


def test_awake_is_what_has_an_agent_or_failed_to_get_one() -> None:
    """Restarting, paused, and created-to-run-but-failed count as awake; a sleeper's `created` does not."""
    family = make_family("a")
    settings = make_settings()
    awake = {state: place(family, make_host(make_seen(family, state)), settings).start for state in STATES}
    assert awake == {
        "running": True, "restarting": True, "paused": True, "created": True, "exited": False, "dead": False,
    }  # fmt: skip
    assert not place(family, make_host(make_seen(family, "created", start="asleep")), settings).start


def test_new_families_start_as_the_stack_says() -> None:
    """A family with neither container nor volume follows `newFamilies`."""
    family = make_family("a")
    assert place(family, make_host(), make_settings(new_families="awake")).start
    assert not place(family, make_host(), make_settings(new_families="asleep")).start


def test_a_family_that_came_back_is_created_asleep() -> None:
    """A volume without a container is not new: it is created asleep, and created again whatever the state says."""
    family = make_family("a")
    placement = place(family, make_host(volumes_of=(family.id,)), make_settings())
    assert (placement.start, placement.recreate) == (False, True)


def test_a_canary_is_started_even_if_it_slept() -> None:
    """A release is tried on the canary first, so the canary is started."""
    family = make_family("a", canary=True)
    assert place(family, make_host(make_seen(family, "exited")), make_settings()).start


def test_a_suspended_family_is_never_started_and_stopped_if_it_runs() -> None:
    """Suspension wins over canary, new and awake; a running container is created again, stopped."""
    family = make_family("a", state="suspended", canary=True)
    settings = make_settings()
    for state in STATES:
        placement = place(family, make_host(make_seen(family, state, start="asleep")), settings)
        assert not placement.start
        assert placement.recreate == (state in {"running", "restarting", "paused"})
    assert not place(family, make_host(), settings).start


def test_without_a_host_every_family_counts_as_awake_and_nothing_is_created_again() -> None:
    """A preview without a daemon shows the longest roll, and no change that is only a guess."""
    families = [make_family("a"), make_family("b", state="suspended")]
    plan = plan_waves(families, Inventory(read=False), make_settings())
    assert names(plan) == ([["a"]], ["b"])
    assert not any(p.recreate for p in plan.placements)


@given(
    st.lists(st.tuples(st.sampled_from([*STATES, "none"]), st.booleans(), st.booleans()), max_size=30),
    st.integers(1, 7),
)
def test_every_family_is_placed_exactly_once(families: list[tuple[str, bool, bool]], size: int) -> None:
    """In any states, no family is lost or rolled twice, no wave is too big, and no sleeper is in a wave."""
    made = [
        (make_family(f"f{at}", canary=canary, state="suspended" if out else "active"), state)
        for at, (state, canary, out) in enumerate(families)
    ]
    inventory = make_host(*(make_seen(family, state) for family, state in made if state != "none"))
    plan = plan_waves([family for family, _ in made], inventory, make_settings(rollout=Rollout(wave_size=size)))
    assert sorted(p.family.name for p in plan.placements) == sorted(family.name for family, _ in made)
    assert all(p.start for wave in plan.waves for p in wave)
    assert not any(p.start for p in plan.asleep)
    assert all(len(wave) <= size for wave in plan.waves if not wave[0].family.canary)
