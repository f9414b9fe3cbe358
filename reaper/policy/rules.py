"""Decides what to do with a family: a pure function of the time, the facts, the policy and the limits.

A rule is a function that returns the reason to keep a family running, to keep it asleep or to start it, or None. The
first rule that applies gives the decision its reason; `reasons` returns all that keep a family running. Nothing here
reads a clock, a file or the Docker daemon.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from fleet.host.activity import Activity
from reaper.policy.facts import MISSING, RUNNING, UNMANAGED, Facts, Limits, Policy


class Action(StrEnum):
    """What to do with a family: leave it as it is, probe its agent first, stop it, or start it."""

    KEEP = "keep"
    PROBE = "probe"
    STOP = "stop"
    START = "start"


@dataclass(frozen=True)
class Reason:
    """Why: a code for metrics and the ledger, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Decision:
    """An action and its reason."""

    action: Action
    reason: Reason


@dataclass(frozen=True)
class _Case:
    now: float
    facts: Facts
    policy: Policy
    limits: Limits

    @property
    def activity(self) -> Activity:
        return self.facts.activity or Activity(0.0)

    def within(self, moment: float | None, seconds: float) -> bool:
        """Tell whether a moment is less than that many seconds ago, or in the future."""
        return moment is not None and self.now - moment < seconds

    def ago(self, moment: float | None) -> str:
        return span(max(0.0, self.now - (moment or 0.0)))


Rule = Callable[[_Case], Reason | None]


def span(seconds: float) -> str:
    """Return a duration for people: `45 s`, `12 min`, `3 h 5 min`."""
    whole = int(seconds)
    if whole < 120:  # noqa: PLR2004 - two minutes
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - two hours


def decide(now: float, facts: Facts, policy: Policy, limits: Limits | None = None) -> Decision:
    """Return what to do with a family at `now` (epoch seconds)."""
    case = _Case(now, facts, policy, limits or Limits())
    if facts.state != RUNNING:
        return _decide_stopped(case)
    if leased := _leased(case):
        return Decision(Action.KEEP, leased)
    if suspended := _suspended(case):
        return Decision(Action.STOP, suspended)
    if reason := next(_reasons(case), None):
        return Decision(Action.KEEP, reason)
    if facts.activity is None:
        return Decision(Action.PROBE, Reason("candidate", "no known reason to stay awake; its agent is probed"))
    return Decision(Action.STOP, Reason("idle", f"no sign of life for {span(policy.idle_after)} or longer"))


def reasons(now: float, facts: Facts, policy: Policy, limits: Limits | None = None) -> Iterator[Reason]:
    """Yield every reason to keep a running family running; those its agent gives only if it was probed."""
    return _reasons(_Case(now, facts, policy, limits or Limits()))


def _reasons(case: _Case) -> Iterator[Reason]:
    rules = _KNOWN if case.facts.activity is None else (*_KNOWN, *_PROBED)
    return (reason for rule in rules if (reason := rule(case)))


def _decide_stopped(case: _Case) -> Decision:
    if keep := next((reason for rule in _STAY_STOPPED if (reason := rule(case))), None):
        return Decision(Action.KEEP, keep)
    if start := next((reason for rule in _START if (reason := rule(case))), None):
        return Decision(Action.START, start)
    return Decision(Action.KEEP, Reason("asleep", "no device or job needs it"))


def _not_startable(case: _Case) -> Reason | None:
    return _NOT_STARTABLE.get(case.facts.state)


def _suspended(case: _Case) -> Reason | None:
    return Reason("suspended", "the registry says suspended") if case.policy.suspended else None


def _leased(case: _Case) -> Reason | None:
    return Reason("leased", "a start or stop of it is in progress") if case.facts.leased else None


def _fresh_heartbeat(case: _Case) -> Reason | None:
    heartbeat = case.facts.last_heartbeat_at
    if not case.within(heartbeat, case.limits.fresh):
        return None
    return Reason("heartbeat", f"its device sent a heartbeat {case.ago(heartbeat)} ago, and it does not run")


def _job_due(case: _Case) -> Reason | None:
    facts, due = case.facts, case.facts.cron_next
    if not case.policy.wake_for_cron or due is None or due - case.limits.cron_lead > case.now:
        return None
    served = served_until(case.now, facts.cron_woken, case.limits, was_healthy=facts.was_healthy)
    if served is not None and due <= served:
        return None
    return Reason("cron", f"a scheduled job is due {_when(due, case.now)}")


def served_until(now: float, cron_woken: float | None, limits: Limits, *, was_healthy: bool) -> float | None:
    """Return the last scheduled run (epoch seconds) that needs no start any more, None if there is none.

    That is `cron_woken`, the run the family was last started for. If its container was never healthy, the one that was
    started has been replaced since, perhaps before the run: then the run counts only once it is long past.
    """
    if cron_woken is None or was_healthy:
        return cron_woken
    return min(cron_woken, now - limits.cron_late)


def _when(due: float, now: float) -> str:
    return f"in {span(due - now)}" if due >= now else f"since {span(now - due)}"


def _never(case: _Case) -> Reason | None:
    return Reason("never", "the registry says that it never sleeps") if case.policy.never else None


def _keep_warm(case: _Case) -> Reason | None:
    local = datetime.fromtimestamp(case.now, ZoneInfo(case.policy.timezone))
    if any(window.covers(local) for window in case.policy.keep_warm):
        return Reason("keep_warm", f"{local:%a %H:%M} is in its keep_warm times")
    return None


def _young(case: _Case) -> Reason | None:
    up_since = case.facts.up_since
    if up_since is not None and not case.within(up_since, case.limits.min_uptime):
        return None
    text = f"up for {case.ago(up_since)}" if up_since else "its start cannot be read"
    return Reason("young", f"{text}, under {span(case.limits.min_uptime)}")


def _never_healthy(case: _Case) -> Reason | None:
    if case.facts.was_healthy:
        return None
    return Reason("never_healthy", "its container has not been healthy yet; a roll may be waiting for it")


def _grace(case: _Case) -> Reason | None:
    if case.within(case.facts.grace_since, case.policy.idle_after):
        return Reason("grace", f"the reaper has been watching for only {case.ago(case.facts.grace_since)}")
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


def _human_message(case: _Case) -> Reason | None:
    if case.within(case.activity.human, case.policy.idle_after):
        return Reason("human_message", f"a person wrote {case.ago(case.activity.human)} ago")
    return None


def _any_message(case: _Case) -> Reason | None:
    if case.within(case.activity.any, case.limits.quiet):
        return Reason("message", f"a message of any source {case.ago(case.activity.any)} ago")
    return None


def _counted(name: str, code: str, text: str) -> Rule:
    def rule(case: _Case) -> Reason | None:
        count: int = getattr(case.activity, name)
        return Reason(code, text.format(count)) if count else None

    return rule


def _unreadable(case: _Case) -> Reason | None:
    unread = case.activity.unread
    since = case.now if case.facts.unread_since is None else case.facts.unread_since
    if not unread or not case.within(since, case.limits.unread_for):
        return None
    name, why = next(iter(unread.items()))
    return Reason("unreadable", f"{', '.join(unread)} unreadable for {case.ago(since)} ({name}: {why})")


# restarting and removing are Docker's own transitions, paused is an operator's choice: leave all three.
_NOT_STARTABLE = {
    UNMANAGED: Reason("stranger", "the container with its name was not made by this stack"),
    MISSING: Reason("not_provisioned", "it has no container; fix: pulumi up"),
    **{state: Reason(state, f"its container is {state}") for state in ("restarting", "paused", "removing")},
}
# For a family that does not run.
_STAY_STOPPED: tuple[Rule, ...] = (_not_startable, _suspended, _leased)
_START: tuple[Rule, ...] = (_fresh_heartbeat, _job_due)
# What keeps a running family awake: known without its agent, and in the agent's answer.
_KNOWN: tuple[Rule, ...] = (
    _never,
    _recent("last_heartbeat_at", "heartbeat", "its device sent a heartbeat {} ago"),
    _recent("last_request_at", "touched", "it was requested {} ago"),
    _recent("last_wake_at", "woken", "it was woken {} ago"),
    _keep_warm,
    _young,
    _never_healthy,
    _recent("last_human_message_at", "human_message", "a person wrote {} ago"),
    _grace,
)
_PROBED: tuple[Rule, ...] = (
    _human_message,
    _any_message,
    _counted("active_agents", "active_agents", "{} turn(s) in progress"),
    _counted("cron_running", "cron_running", "{} scheduled turn(s) in progress"),
    _counted("children", "children", "{} background process(es)"),
    _counted("inbound", "inbound", "{} open connection(s) to its API"),
    _cron_due,
    _unreadable,
)
