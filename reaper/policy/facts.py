"""What a decision is made from: the registry's policy, the reaper's limits, and the facts about one family."""

from dataclasses import dataclass

from fleet.host import ContainerSummary
from fleet.host.activity import Activity
from fleet.registry import Family, Window
from reaper.engine import ContainerDetails, owned
from reaper.store import Row

RUNNING = "running"
MISSING = "missing"
UNMANAGED = "stranger"

Container = ContainerSummary | ContainerDetails


@dataclass(frozen=True)
class Policy:
    """When the registry lets one family sleep. Times are in seconds."""

    idle_after: int = 1800
    never: bool = False
    keep_warm: tuple[Window, ...] = ()
    timezone: str = "UTC"
    wake_for_cron: bool = True
    suspended: bool = False


@dataclass(frozen=True)
class Limits:
    """What applies to every family. Times are in seconds."""

    min_uptime: int = 300
    quiet: int = 120
    cron_lead: int = 60
    cron_late: int = 600
    unread_for: int = 6 * 3600
    fresh: int = 120


@dataclass(frozen=True)
class Facts:
    """What the reaper knows of one family. Times are epoch seconds, None where there is none.

    `state`: Docker's state of its container, `missing`, or `stranger` for an unmanaged container of its name.
    `was_healthy`: this container is healthy, or was since it was created. `grace_since`: the start of the current run
    of uninterrupted sweeps. `activity`: the agent's answer to a probe, None before it. `unread_since`: since when a
    signal could not be read. `cron_woken`: the scheduled run that it was last started for.
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


def policy_of(family: Family) -> Policy:
    """Return a family's policy from its registry entry."""
    sleep, suspended = family.sleep, family.state == "suspended"
    return Policy(
        sleep.idle_after, sleep.never, sleep.keep_warm, family.timezone, sleep.wake_for_cron, suspended=suspended
    )


def state_of(container: Container | None, stack: str) -> str:
    """Return Docker's state of the container with a family's name, `missing`, or `stranger`."""
    if container is None:
        return MISSING
    return container.state if owned(container.labels, container.name, stack) else UNMANAGED


def family_state(state: str) -> str:
    """Return what a container's state means for its family: `awake`, `asleep`, or the state itself."""
    if state == RUNNING:
        return "awake"
    return state if state in {MISSING, UNMANAGED, "restarting", "paused"} else "asleep"


def was_healthy(container: Container, row: Row) -> bool:
    """Tell whether this container is healthy, or was since it was created."""
    return container.healthy or row.healthy_id == container.id


def last_activity(row: Row) -> tuple[float, str] | None:
    """Return when a family was last active (epoch seconds) and by which signal; None if it never was."""
    signals = [
        (row.heartbeat, "heartbeat"),
        (row.touched, "request"),
        (row.woken, "wake"),
        (row.human, "person"),
        (row.message, "message"),
    ]
    return max(((at, name) for at, name in signals if at is not None), default=None)


def known_facts(container: Container | None, row: Row, stack: str, grace_since: float, *, leased: bool) -> Facts:
    """Return the facts in Docker's answer and the store. A listing does not tell when a container was started."""
    return Facts(
        state=state_of(container, stack),
        was_healthy=container is not None and was_healthy(container, row),
        up_since=container.started if isinstance(container, ContainerDetails) else 0.0,
        last_heartbeat_at=row.heartbeat,
        last_request_at=row.touched,
        last_wake_at=row.woken,
        last_human_message_at=row.human,
        grace_since=grace_since,
        unread_since=row.unread_since,
        cron_next=row.cron_next if container is not None and row.cron_of == container.id else None,
        cron_woken=row.cron_woken,
        leased=leased,
    )
