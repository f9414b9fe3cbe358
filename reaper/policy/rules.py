"""Decides what to do with a family: a pure function of the time, the facts, the policy and the limits.

The rules are lists, one for a family whose container runs and one for the others. The first rule that applies gives
the decision and its reason. Nothing here reads a clock, a file or the Docker daemon.
"""

from collections.abc import Iterator
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


# Whether a rule applies, and its reason's code and text. The text makes sense only if the rule applies.
_Rule = tuple[bool, str, str]

# restarting and removing are Docker's own transitions, paused is an operator's choice: leave all three.
_NOT_STARTABLE = frozenset({"restarting", "paused", "removing"})
# Numbers in an agent's answer that keep its family awake unless they are 0; each name is also the reason's code.
_COUNTS = {
    "active_agents": "{} turn(s) in progress",
    "cron_running": "{} scheduled turn(s) in progress",
    "children": "{} background process(es)",
    "inbound": "{} open connection(s) to its API",
}


@dataclass(frozen=True)
class _Case:
    now: float
    facts: Facts
    policy: Policy
    limits: Limits

    def within(self, moment: float | None, seconds: float) -> bool:
        """Tell whether a moment is less than that many seconds ago, or in the future."""
        return moment is not None and self.now - moment < seconds

    def ago(self, moment: float | None) -> str:
        return span(max(0.0, self.now - (moment or 0.0)))

    def recent(self, moment: float | None, seconds: float, code: str, text: str) -> _Rule:
        """Return a rule that applies `within` some seconds of a moment; `{}` in its text is how long ago it was."""
        applies = self.within(moment, seconds)
        return applies, code, text.format(self.ago(moment)) if applies else ""

    def due(self, run: float | None) -> str:
        ahead = (run or 0.0) - self.now
        return f"a scheduled job is due {'in' if ahead >= 0 else 'since'} {span(abs(ahead))}"


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
    rules = _running(case) if facts.state == RUNNING else _stopped(case)
    return next(Decision(action, Reason(code, text)) for action, applies, code, text in rules if applies)


def reasons(now: float, facts: Facts, policy: Policy, limits: Limits | None = None) -> Iterator[Reason]:
    """Yield every reason to keep a running family running; those its agent gives only if it was probed."""
    rules = _keep_awake(_Case(now, facts, policy, limits or Limits()))
    return (Reason(code, text) for applies, code, text in rules if applies)


def served_until(now: float, cron_woken: float | None, limits: Limits, *, was_healthy: bool) -> float | None:
    """Return the last scheduled run (epoch seconds) that needs no start any more, None if there is none.

    That is `cron_woken`, the run the family was last started for. If its container was never healthy, the one that was
    started has been replaced since, perhaps before the run: then the run counts only once it is long past.
    """
    if cron_woken is None or was_healthy:
        return cron_woken
    return min(cron_woken, now - limits.cron_late)


def _stopped(case: _Case) -> Iterator[tuple[Action, bool, str, str]]:
    facts, state, suspended = case.facts, case.facts.state, case.policy.suspended
    heartbeat = "its device sent a heartbeat {} ago, and it does not run"
    yield (Action.KEEP, state == UNMANAGED, "stranger", "the container with its name was not made by this stack")
    yield (Action.KEEP, state == MISSING, "not_provisioned", "it has no container; fix: pulumi up")
    yield (Action.KEEP, state in _NOT_STARTABLE, state, f"its container is {state}")
    yield (Action.KEEP, suspended, "suspended", "the registry says suspended")
    yield (Action.KEEP, facts.leased, "leased", "a start or stop of it is in progress")
    yield (Action.START, *case.recent(facts.last_heartbeat_at, case.limits.fresh, "heartbeat", heartbeat))
    yield (Action.START, _needs_start_for_job(case), "cron", case.due(facts.cron_next))
    yield (Action.KEEP, True, "asleep", "no device or job needs it")


def _needs_start_for_job(case: _Case) -> bool:
    facts, due = case.facts, case.facts.cron_next
    if not case.policy.wake_for_cron or due is None or due - case.limits.cron_lead > case.now:
        return False
    served = served_until(case.now, facts.cron_woken, case.limits, was_healthy=facts.was_healthy)
    return served is None or due > served


def _running(case: _Case) -> Iterator[tuple[Action, bool, str, str]]:
    facts, suspended = case.facts, case.policy.suspended
    idle = f"no sign of life for {span(case.policy.idle_after)} or longer"
    yield (Action.KEEP, facts.leased, "leased", "a start or stop of it is in progress")
    yield (Action.STOP, suspended, "suspended", "the registry says suspended")
    yield from ((Action.KEEP, *rule) for rule in _keep_awake(case))
    yield (Action.PROBE, facts.activity is None, "candidate", "no known reason to stay awake; its agent is probed")
    yield (Action.STOP, True, "idle", idle)


def _keep_awake(case: _Case) -> Iterator[_Rule]:
    """Return what keeps a running family awake: what is known without its agent, then what the agent answered."""
    facts, policy, idle, uptime = case.facts, case.policy, case.policy.idle_after, case.limits.min_uptime
    unhealthy = "its container has not been healthy yet; a roll may be waiting for it"
    yield (policy.never, "never", "the registry says that it never sleeps")
    yield case.recent(facts.last_heartbeat_at, idle, "heartbeat", "its device sent a heartbeat {} ago")
    yield case.recent(facts.last_request_at, idle, "touched", "it was requested {} ago")
    yield case.recent(facts.last_wake_at, idle, "woken", "it was woken {} ago")
    local = datetime.fromtimestamp(case.now, ZoneInfo(policy.timezone))
    warm = any(window.covers(local) for window in policy.keep_warm)
    yield (warm, "keep_warm", f"{local:%a %H:%M} is in its keep_warm times")
    young = facts.up_since is None or case.within(facts.up_since, uptime)
    up = f"up for {case.ago(facts.up_since)}" if facts.up_since else "its start cannot be read"
    yield (young, "young", f"{up}, under {span(uptime)}")
    yield (not facts.was_healthy, "never_healthy", unhealthy)
    yield case.recent(facts.last_human_message_at, idle, "human_message", "a person wrote {} ago")
    yield case.recent(facts.grace_since, idle, "grace", "the reaper has been watching for only {}")
    yield from (_in_answer(case, facts.activity) if facts.activity else ())


def _in_answer(case: _Case, answer: Activity) -> Iterator[_Rule]:
    """Return what keeps a family awake in its agent's answer."""
    facts, limits = case.facts, case.limits
    counts = {name: getattr(answer, name) for name in _COUNTS}
    run = facts.cron_next if "cron_next" in answer.unread else answer.cron_next
    due = run is not None and -limits.cron_late <= run - case.now <= limits.cron_lead
    since = case.now if facts.unread_since is None else facts.unread_since
    unread = bool(answer.unread) and case.within(since, limits.unread_for)
    first = ": ".join(next(iter(answer.unread.items()), ()))
    yield case.recent(answer.human, case.policy.idle_after, "human_message", "a person wrote {} ago")
    yield case.recent(answer.any, limits.quiet, "message", "a message of any source {} ago")
    yield from ((count > 0, name, _COUNTS[name].format(count)) for name, count in counts.items())
    yield (due, "cron_due", case.due(run))
    yield (unread, "unreadable", f"{', '.join(answer.unread)} unreadable for {case.ago(since)} ({first})")
