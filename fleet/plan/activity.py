"""What each family does now: a roll would stop those that are at work."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import docker

from fleet.host import ContainerSummary, list_fleet
from fleet.host.activity import Activity, read_activity
from fleet.plan.model import ASLEEP, IDLE, UNKNOWN, Plan

_AT_ONCE = 8
_SIGNALS = {
    "active_agents": "answering",
    "children": "running a command",
    "cron_running": "running a job",
    "inbound": "connected",
}
_RECENT_SECONDS = 120
_ELSEWHERE = (
    "this Docker host has no container of stack {stack}, which has {families} families. If it is not the fleet's host, "
    "set DOCKER_HOST to that one, or to a missing socket for a plan without live state"
)


def with_live_state(plan: Plan, client: docker.DockerClient) -> Plan:
    """Return the plan with what each family to be rolled or removed does now: idle, at work, asleep or unknown.

    A note says so where the host has none of the stack's containers: it may be the wrong one. Raises FleetError where
    the daemon does not answer.
    """
    ours = list_fleet(client.api).ours(plan.stack)
    if plan.before and not ours:
        plan = replace(plan, notes=(*plan.notes, _ELSEWHERE.format(stack=plan.stack, families=plan.before)))
    rolled = [change for change in plan.changes if change.kind in {"rolled", "removed"}]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        doing = dict(zip(rolled, pool.map(lambda c: _doing(ours.get(UUID(c.id)), client), rolled), strict=True))
    return replace(plan, changes=tuple(replace(change, doing=doing.get(change, "")) for change in plan.changes))


def _doing(seen: ContainerSummary | None, client: docker.DockerClient) -> str:
    if seen is None or not seen.awake:
        return ASLEEP
    if seen.state != "running":
        return seen.state
    return describe(read_activity(client.api, seen.id))


def describe(activity: Activity) -> str:
    """Return what an agent is doing, in one or two words each."""
    busy = [word for signal, word in _SIGNALS.items() if getattr(activity, signal)]
    if activity.any is not None and activity.read_at - activity.any < _RECENT_SECONDS:
        busy.append("in a conversation")
    if busy:
        return ", ".join(busy)
    return UNKNOWN if activity.unread else IDLE
