"""Decides what to do with a family: a pure function of the time, the facts and the policy.

Every rule is a function that returns why a family must be left running, left asleep or started, or None. The first that
speaks is the decision's reason; `reasons` returns all that keep a family running. Nothing here reads a clock, a file or
a daemon.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from fleet.host.activity import Activity
from fleet.registry import Family, Window

RUNNING = "running"
MISSING = "missing"
UNMANAGED = "stranger"


class Action(StrEnum):
    """What to do: leave the family as it is, ask its agent first, stop it, or start it."""

    KEEP = "keep"
    PROBE = "probe"
    STOP = "stop"
    START = "start"


@dataclass(frozen=True)
class Reason:
    """Why, as a word for metrics and a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Decision:
    """An action and its reason."""

    action: Action
    reason: Reason


@dataclass(frozen=True)
class Policy:
    """What the registry says about one family's sleep. Times are in seconds."""

    idle_after: int = 1800
    never: bool = False
    keep_warm: tuple[Window, ...] = ()
    timezone: str = "UTC"
    wake_for_cron: bool = True
    suspended: bool = False


@dataclass(frozen=True)
class Limits:
    """What holds for every family. Times are in seconds."""

    min_uptime: int = 300
    quiet: int = 120
    cron_lead: int = 60
    cron_late: int = 600
    unread_for: int = 6 * 3600
    fresh: int = 120


@dataclass(frozen=True)
class Facts:
    """What is known of one family. Times are epoch seconds, None where there is none.

    `state` is Docker's word, or `missing`, or `stranger`. `was_healthy`: this very container was healthy before.
    `grace_since`: since when the reaper can vouch for what it knows. `activity` is None until the agent was asked.
    `unread_since`: since when some signal could not be read. `cron_woken`: the run it was last started for.
    """

    state: str
    was_healthy: bool = False
    up_since: float | None = None
    last_heartbeat_at: float | None = None
    last_request_at: float | None = None
    last_wake_at: float | None = None
    last_human_message_at: float | None = None
    grace_since: float = 0.0
    activity: Activity | None = None
    unread_since: float | None = None
    cron_next: float | None = None
    cron_woken: float | None = None
    leased: bool = False


@dataclass(frozen=True)
class _Case:
    now: float
    facts: Facts
    policy: Policy
    limits: Limits
    activity: Activity = field(default_factory=lambda: Activity(0.0))

    def within(self, moment: float | None, seconds: float) -> bool:
        """Tell whether a moment is newer than that many seconds; one that lies ahead is."""
        return moment is not None and self.now - moment < seconds

    def ago(self, moment: float | None) -> str:
        return span(max(0.0, self.now - (moment or 0.0)))


Rule = Callable[[_Case], Reason | None]


def policy_of(family: Family) -> Policy:
    """Return a family's policy as the registry has it."""
    sleep = family.sleep
    suspended = family.state == "suspended"
    return Policy(
        sleep.idle_after, sleep.never, sleep.keep_warm, family.timezone, sleep.wake_for_cron, suspended=suspended
    )


def span(seconds: float) -> str:
    """Return a length of time for people: `45 s`, `12 min`, `3 h 5 min`."""
    whole = int(seconds)
    if whole < 120:  # noqa: PLR2004 - below two minutes seconds read better
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - two hours


def decide(now: float, facts: Facts, policy: Policy, limits: Limits | None = None) -> Decision:
    """Return what to do with a family now."""
    limits = limits or Limits()
    case = _Case(now, facts, policy, limits)
    if facts.state != RUNNING:
        return _of_a_sleeper(case)
    if leased := _leased(case):
        return Decision(Action.KEEP, leased)
    if suspended := _suspended(case):
        return Decision(Action.STOP, suspended)
    first = next(reasons(now, facts, policy, limits), None)
    if first:
        return Decision(Action.KEEP, first)
    if facts.activity is None:
        return Decision(Action.PROBE, Reason("candidate", "nothing known keeps it awake; its agent is to be asked"))
    idle = f"no sign of life for {span(policy.idle_after)} or longer"
    return Decision(Action.STOP, Reason("idle", idle))


def reasons(now: float, facts: Facts, policy: Policy, limits: Limits | None = None) -> Iterator[Reason]:
    """Yield every reason to leave a running family running; the agent's own signals only once it was asked."""
    case = _Case(now, facts, policy, limits or Limits())
    if facts.activity is not None:
        case = _Case(now, facts, policy, case.limits, facts.activity)
    for rule in _KNOWN if facts.activity is None else (*_KNOWN, *_ASKED):
        reason = rule(case)
        if reason:
            yield reason


def _of_a_sleeper(case: _Case) -> Decision:
    keep = next((reason for rule in _KEPT_ASLEEP if (reason := rule(case))), None)
    if keep:
        return Decision(Action.KEEP, keep)
    start = next((reason for rule in _WAKING if (reason := rule(case))), None)
    return Decision(Action.START, start) if start else Decision(Action.KEEP, Reason("asleep", "nobody asks for it"))


def _not_to_be_started(case: _Case) -> Reason | None:
    return _NOT_TO_BE_STARTED.get(case.facts.state)


def _suspended(case: _Case) -> Reason | None:
    return Reason("suspended", "the registry says suspended") if case.policy.suspended else None


def _leased(case: _Case) -> Reason | None:
    return Reason("leased", "a start or stop of it is under way") if case.facts.leased else None


def _asked_for(case: _Case) -> Reason | None:
    heartbeat = case.facts.last_heartbeat_at
    if not case.within(heartbeat, case.limits.fresh):
        return None
    return Reason("heartbeat", f"its device sent a heartbeat {case.ago(heartbeat)} ago, and it does not run")


def _job_due(case: _Case) -> Reason | None:
    due, now = case.facts.cron_next, case.now
    if not case.policy.wake_for_cron or due is None or due - case.limits.cron_lead > now:
        return None
    facts = case.facts
    until = had_its_chance_until(now, facts.cron_woken, case.limits, was_healthy=facts.was_healthy)
    if until is not None and due <= until:
        return None
    return Reason("cron", f"a scheduled job is due {_when(due, now)}")


def had_its_chance_until(now: float, woken: float | None, limits: Limits, *, was_healthy: bool) -> float | None:
    """Return up to which run a family had its chance, whether anybody ran it or not; None where it had none.

    `woken` is the run that it was last started for. If its container was never healthy, that was another one, which was
    replaced since: perhaps before the run. The run then counts as had only once it is long past.
    """
    if woken is None or was_healthy:
        return woken
    return min(woken, now - limits.cron_late)


def _when(due: float, now: float) -> str:
    return f"in {span(due - now)}" if due >= now else f"since {span(now - due)}"


def _never(case: _Case) -> Reason | None:
    return Reason("never", "the registry says that it never sleeps") if case.policy.never else None


def _warm(case: _Case) -> Reason | None:
    local = datetime.fromtimestamp(case.now, ZoneInfo(case.policy.timezone))
    if any(window.covers(local) for window in case.policy.keep_warm):
        return Reason("keep_warm", f"{local:%a %H:%M} lies in its keep_warm times")
    return None


def _young(case: _Case) -> Reason | None:
    if case.facts.up_since is None or case.within(case.facts.up_since, case.limits.min_uptime):
        text = f"up for {case.ago(case.facts.up_since)}" if case.facts.up_since else "its start cannot be read"
        return Reason("young", f"{text}, under {span(case.limits.min_uptime)}")
    return None


def _gate(case: _Case) -> Reason | None:
    if case.facts.was_healthy:
        return None
    return Reason("never_healthy", "its container was not healthy yet; it may stand in a roll's gate")


def _grace(case: _Case) -> Reason | None:
    if case.within(case.facts.grace_since, case.policy.idle_after):
        return Reason("grace", f"the reaper has been watching for {case.ago(case.facts.grace_since)} only")
    return None


def _recent(name: str, code: str, text: str) -> Rule:
    def rule(case: _Case) -> Reason | None:
        moment: float | None = getattr(case.facts, name)
        return Reason(code, text.format(case.ago(moment))) if case.within(moment, case.policy.idle_after) else None

    return rule


def _cron_due(case: _Case) -> Reason | None:
    due = case.facts.cron_next if "cron_next" in case.activity.unread else case.activity.cron_next
    if due is not None and -case.limits.cron_late <= due - case.now <= case.limits.cron_lead:
        return Reason("cron_due", f"a scheduled job is due {_when(due, case.now)}")
    return None


def _message(case: _Case) -> Reason | None:
    if case.within(case.activity.human, case.policy.idle_after):
        return Reason("human_message", f"somebody wrote {case.ago(case.activity.human)} ago")
    return None


def _quiet(case: _Case) -> Reason | None:
    if case.within(case.activity.any, case.limits.quiet):
        return Reason("message", f"a message of any source {case.ago(case.activity.any)} ago")
    return None


def _counted(name: str, code: str, text: str) -> Rule:
    def rule(case: _Case) -> Reason | None:
        count: int = getattr(case.activity, name)
        return Reason(code, text.format(count)) if count else None

    return rule


def _unread(case: _Case) -> Reason | None:
    unread = case.activity.unread
    since = case.now if case.facts.unread_since is None else case.facts.unread_since
    if not unread or not case.within(since, case.limits.unread_for):
        return None
    name, why = next(iter(unread.items()))
    return Reason("unreadable", f"{', '.join(unread)} cannot be read for {case.ago(since)} ({name}: {why})")


# Between the last three and running Docker itself is at work; whoever paused a container wants it as it is.
_NOT_TO_BE_STARTED = {
    UNMANAGED: Reason("stranger", "a container under its name was not made by this stack"),
    MISSING: Reason("not_provisioned", "it has no container; pulumi up makes one"),
    **{state: Reason(state, f"its container is {state}") for state in ("restarting", "paused", "removing")},
}
# Who does not run stays so for any of these, or else is started for one of those.
_KEPT_ASLEEP: tuple[Rule, ...] = (_not_to_be_started, _suspended, _leased)
_WAKING: tuple[Rule, ...] = (_asked_for, _job_due)
# What keeps a running family awake: what is known without its agent, and what the agent says.
_KNOWN: tuple[Rule, ...] = (
    _never,
    _recent("last_heartbeat_at", "heartbeat", "its device sent a heartbeat {} ago"),
    _recent("last_request_at", "touched", "somebody asked for it {} ago"),
    _recent("last_wake_at", "woken", "it was woken {} ago"),
    _warm,
    _young,
    _gate,
    _recent("last_human_message_at", "human_message", "somebody wrote {} ago"),
    _grace,
)
_ASKED: tuple[Rule, ...] = (
    _message,
    _quiet,
    _counted("active_agents", "active_agents", "{} turn(s) under way"),
    _counted("cron_running", "cron_running", "{} scheduled turn(s) under way"),
    _counted("children", "children", "{} background process(es)"),
    _counted("inbound", "inbound", "{} open connection(s) to its API"),
    _cron_due,
    _unread,
)
