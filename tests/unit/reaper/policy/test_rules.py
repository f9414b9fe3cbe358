"""What the reaper does with a family, and why."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.host.activity import COUNTS, TIMES, Activity, nothing_read
from reaper.policy.rules import Action, Facts, Limits, Policy, decide, policy_of, reasons, span
from tests.support.fleet.families import make_family

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0
POLICY = Policy(idle_after=1800)
# Facts that each keep a family awake for its idle_after.
SIGNS = ("last_heartbeat_at", "last_request_at", "last_wake_at", "last_human_message_at", "grace_since")
IDLE = Facts(
    state="running",
    was_healthy=True,
    up_since=NOW - 24 * HOUR,
    grace_since=NOW - 24 * HOUR,
    activity=Activity(NOW, human=NOW - 5 * HOUR, any=NOW - HOUR),
)


def why(facts: Facts, policy: Policy = POLICY, now: float = NOW) -> tuple[str, str]:
    """Return action and reason."""
    decision = decide(now, facts, policy)
    return decision.action.value, decision.reason.code


def doing(**values: Any) -> Facts:
    """Return an idle family but for what its agent says."""
    assert IDLE.activity
    return replace(IDLE, activity=replace(IDLE.activity, **values))


def test_an_idle_family_is_stopped() -> None:
    """Nothing speaks for it: it is stopped, and its agent is asked first where it was not."""
    assert why(IDLE) == ("stop", "idle")
    assert why(replace(IDLE, activity=None)) == ("probe", "candidate")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(IDLE, last_heartbeat_at=NOW - 1799), "heartbeat"),
        (replace(IDLE, last_request_at=NOW - 1799), "touched"),
        (replace(IDLE, last_wake_at=NOW - 1799), "woken"),
        (replace(IDLE, last_human_message_at=NOW - 1799), "human_message"),
        (replace(IDLE, up_since=NOW - 299), "young"),
        (replace(IDLE, up_since=None), "young"),
        (replace(IDLE, was_healthy=False), "never_healthy"),
        (replace(IDLE, grace_since=NOW - 1799), "grace"),
        (replace(IDLE, leased=True), "leased"),
        (doing(human=NOW - 1799), "human_message"),
        (doing(any=NOW - 119), "message"),
        (doing(active_agents=1), "active_agents"),
        (doing(cron_running=1), "cron_running"),
        (doing(children=1), "children"),
        (doing(inbound=1), "inbound"),
        (doing(cron_next=NOW + 60), "cron_due"),
        (doing(cron_next=NOW - 30), "cron_due"),
        (doing(unread={"children": "no gateway"}), "unreadable"),
    ],
)
def test_each_sign_of_life_keeps_it_awake(facts: Facts, reason: str) -> None:
    """Every single signal is enough, and is the reason that is given."""
    assert why(facts) == ("keep", reason)


def test_signs_that_are_old_enough_do_not() -> None:
    """At the limit itself a sign no longer counts, and a job that is due later, or long ago, keeps nobody awake."""
    at = NOW - 1800
    old = replace(IDLE, last_heartbeat_at=at, last_request_at=at, last_wake_at=at, up_since=NOW - 300)
    assert why(old) == ("stop", "idle")
    assert why(doing(any=NOW - 120)) == ("stop", "idle")
    assert why(doing(cron_next=NOW + 61)) == ("stop", "idle")
    assert why(doing(cron_next=NOW - 601)) == ("stop", "idle")


def test_policy_keeps_it_awake() -> None:
    """`never` and `keep_warm` hold whatever else is true; the window is in the family's time zone."""
    assert why(IDLE, replace(POLICY, never=True)) == ("keep", "never")
    warm = make_family(
        "a", timezone="Asia/Tokyo", sleep={"keep_warm": [{"days": ["sun"], "from": "04:00", "to": "06:00"}]}
    )
    assert why(IDLE, policy_of(warm)) == ("keep", "keep_warm")  # Sunday, 05:00 in Tokyo
    assert why(IDLE, replace(policy_of(warm), timezone="UTC")) == ("stop", "idle")


def test_what_cannot_be_read_is_busy_for_six_hours() -> None:
    """Unread signals count as busy, at first and for a bounded time; what can be read counts on."""
    blind = replace(IDLE, activity=nothing_read(NOW, "no daemon"))
    assert why(blind) == ("keep", "unreadable")
    assert why(replace(blind, unread_since=NOW - 6 * HOUR + 1)) == ("keep", "unreadable")
    assert why(replace(blind, unread_since=NOW - 6 * HOUR)) == ("stop", "idle")
    half = replace(doing(unread={"children": "x"}, inbound=1), unread_since=NOW - 7 * HOUR)
    assert why(half) == ("keep", "inbound")


def test_suspended_families_that_run_are_stopped() -> None:
    """The registry's word counts for more than any sign of life, but not while a lease is held."""
    busy = replace(IDLE, last_heartbeat_at=NOW, activity=None)
    assert why(busy, replace(POLICY, suspended=True)) == ("stop", "suspended")
    assert why(replace(busy, leased=True), replace(POLICY, suspended=True)) == ("keep", "leased")


@pytest.mark.parametrize(
    ("facts", "policy", "expected"),
    [
        (Facts("exited"), POLICY, ("keep", "asleep")),
        (Facts("missing", last_heartbeat_at=NOW), POLICY, ("keep", "not_provisioned")),
        (Facts("stranger", last_heartbeat_at=NOW), POLICY, ("keep", "stranger")),
        (Facts("paused", last_heartbeat_at=NOW), POLICY, ("keep", "paused")),
        (Facts("exited", last_heartbeat_at=NOW), replace(POLICY, suspended=True), ("keep", "suspended")),
        (Facts("exited", last_heartbeat_at=NOW, leased=True), POLICY, ("keep", "leased")),
        (Facts("exited", last_heartbeat_at=NOW - 119), POLICY, ("start", "heartbeat")),
        (Facts("created", last_heartbeat_at=NOW - 119), POLICY, ("start", "heartbeat")),
        (Facts("exited", last_heartbeat_at=NOW - 121), POLICY, ("keep", "asleep")),
        (Facts("exited", cron_next=NOW + 60), POLICY, ("start", "cron")),
        (Facts("exited", cron_next=NOW + 61), POLICY, ("keep", "asleep")),
        (Facts("exited", cron_next=NOW - 9 * HOUR), POLICY, ("start", "cron")),
        (Facts("exited", True, cron_next=NOW - 9, cron_woken=NOW - 9), POLICY, ("keep", "asleep")),
        (Facts("exited", True, cron_next=NOW - 9, cron_woken=NOW - 8), POLICY, ("keep", "asleep")),
        (Facts("exited", True, cron_next=NOW - 8, cron_woken=NOW - 9), POLICY, ("start", "cron")),
        (Facts("created", cron_next=NOW + 9, cron_woken=NOW + 9), POLICY, ("start", "cron")),
        (Facts("created", cron_next=NOW - 599, cron_woken=NOW - 599), POLICY, ("start", "cron")),
        (Facts("created", cron_next=NOW - 600, cron_woken=NOW - 600), POLICY, ("keep", "asleep")),
        (Facts("exited", cron_next=NOW + 1), replace(POLICY, wake_for_cron=False), ("keep", "asleep")),
    ],
)
def test_what_wakes_a_sleeper(facts: Facts, policy: Policy, expected: tuple[str, str]) -> None:
    """A fresh heartbeat or a job that is due starts a family that may run; once for each job.

    A container that was never healthy replaced the one that was woken, so that the job counts until it is long past.
    """
    assert why(facts, policy) == expected


def test_spans_read_well() -> None:
    """Lengths of time are given in the unit that fits."""
    assert [span(s) for s in (0, 119.9, 120, 7199, 7260)] == ["0 s", "119 s", "2 min", "119 min", "2 h 1 min"]


times = st.one_of(st.none(), st.floats(NOW - 10 * HOUR, NOW))
activities = st.builds(
    Activity,
    read_at=st.just(NOW),
    human=times,
    any=times,
    cron_next=st.one_of(st.none(), st.floats(NOW - 10 * HOUR, NOW + 10 * HOUR)),
    **{name: st.integers(0, 2) for name in COUNTS},
    unread=st.dictionaries(st.sampled_from([*TIMES, *COUNTS]), st.just("broken"), max_size=3),
)
all_facts = st.builds(
    Facts,
    state=st.just("running"),
    was_healthy=st.booleans(),
    up_since=times,
    last_heartbeat_at=times,
    last_request_at=times,
    last_wake_at=times,
    last_human_message_at=times,
    grace_since=st.floats(NOW - 10 * HOUR, NOW),
    activity=st.one_of(st.none(), activities),
    unread_since=times,
    leased=st.booleans(),
)
policies = st.builds(Policy, idle_after=st.integers(1, 6 * 3600), never=st.booleans())


@given(all_facts, policies)
def test_a_stop_means_that_everything_is_idle(facts: Facts, policy: Policy) -> None:
    """Whatever the facts: a family that is stopped was asked, and no signal of it is younger than its limit."""
    if decide(NOW, facts, policy).action is not Action.STOP:
        return
    seen, limits = facts.activity, Limits()
    assert seen
    assert not policy.never
    assert not facts.leased
    assert facts.was_healthy
    assert facts.up_since is not None
    assert NOW - facts.up_since >= limits.min_uptime
    for moment in (*(getattr(facts, name) for name in SIGNS), seen.human):
        assert moment is None or NOW - moment >= policy.idle_after
    assert seen.any is None or NOW - seen.any >= limits.quiet
    assert not any(getattr(seen, name) for name in COUNTS)
    if seen.unread:
        assert facts.unread_since is not None
        assert NOW - facts.unread_since >= limits.unread_for


@given(all_facts, policies, st.floats(0, 48 * HOUR))
def test_more_idle_is_never_less_stopped(facts: Facts, policy: Policy, later: float) -> None:
    """Monotone: if nothing happens, who could be stopped can be stopped later too, jobs that come due aside."""
    if facts.activity is not None:
        facts = replace(facts, activity=replace(facts.activity, cron_next=None))
    if decide(NOW, facts, policy).action in {Action.STOP, Action.PROBE}:
        assert decide(NOW + later, facts, policy).action in {Action.STOP, Action.PROBE}


@given(all_facts, policies, st.sampled_from(SIGNS), st.floats(0, 0.99))
def test_any_new_sign_of_life_prevents_a_stop(facts: Facts, policy: Policy, name: str, part: float) -> None:
    """Whatever came before: one sign within the family's limit is enough."""
    fresh = replace(facts)
    object.__setattr__(fresh, name, NOW - part * policy.idle_after)
    assert decide(NOW, fresh, policy).action is Action.KEEP


@given(all_facts, policies)
def test_unread_signals_keep_it_awake_for_six_hours_at_most(facts: Facts, policy: Policy) -> None:
    """An agent that says nothing at all is left running, and is not left running for ever."""
    blind = replace(facts, activity=nothing_read(NOW, "silent"))
    assert decide(NOW, replace(blind, unread_since=None), policy).action is Action.KEEP
    late = replace(blind, unread_since=NOW - Limits().unread_for)
    assert "unreadable" not in {reason.code for reason in reasons(NOW, late, policy)}
