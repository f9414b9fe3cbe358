"""What every part of the reaper works with: settings, families, store, containers, clocks and counters."""

import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fleet import keys
from fleet.host import ContainerSummary
from fleet.host.activity import Activity
from fleet.redaction import Redaction, redact_key_like
from reaper.clock import Clock
from reaper.engine import DockerEngine, Engine, owned
from reaper.metrics import Metrics
from reaper.policy.rules import MISSING, RUNNING, UNMANAGED, Facts
from reaper.registry import Families
from reaper.settings import ReaperSettings, load_settings
from reaper.store import Row, Store


@dataclass
class Context:
    """The parts of one reaper. Once `ended` is set, by the daemon alone, nobody is waited for any more.

    `boots` are the turns to boot of this process alone, for the time in which the store cannot give them out.
    """

    settings: ReaperSettings
    families: Families
    store: Store
    engine: Engine
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    ended: threading.Event = field(default_factory=threading.Event)
    boots: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        """Make as many turns as families may boot at a time."""
        self.boots = threading.BoundedSemaphore(self.settings.max_boots)

    def close(self) -> None:
        """Close the store and every connection to the engine."""
        self.store.close()
        self.engine.close()

    def mask(self, text: str) -> str:
        """Return a text without the keys that the reaper knows, and without what looks like a key."""
        masters = [key for key in (self.settings.reaper_key, self.settings.previous_key) if key]
        known = [*masters, self.settings.admin_token]
        known += [keys.heartbeat_token_for(m, family.id) for m in masters for family in self.families.by_id().values()]
        return redact_key_like(Redaction(known).apply(text))


def make_context(root: Path, *, dry_run: bool = False, settings: ReaperSettings | None = None) -> Context:
    """Return a reaper's parts for the settings below `root`; with `dry_run` its store is read-only."""
    settings = settings or load_settings(root)
    clock = Clock()
    store = Store(settings.database, clock, read_only=dry_run)
    return Context(settings, Families(settings.registry), store, DockerEngine(), clock)


def state_of(seen: ContainerSummary | None, stack: str) -> str:
    """Return Docker's state of the container under a family's name, `missing`, or `stranger`."""
    if seen is None:
        return MISSING
    return seen.state if owned(seen.labels, seen.name, stack) else UNMANAGED


def first_facts(seen: ContainerSummary | None, row: Row, stack: str, grace_since: float, *, leased: bool) -> Facts:
    """Return what a listing and the store tell about a family. How long it is up is asked only of candidates."""
    return Facts(
        state=state_of(seen, stack),
        was_healthy=seen is not None and was_healthy(seen, row),
        up_since=0.0,
        last_heartbeat_at=row.heartbeat,
        last_request_at=row.touched,
        last_wake_at=row.woken,
        last_human_message_at=row.human,
        grace_since=grace_since,
        unread_since=row.unread_since,
        cron_next=row.cron_next if seen is not None and row.cron_of == seen.id else None,
        cron_woken=row.cron_woken,
        leased=leased,
    )


def was_healthy(seen: ContainerSummary, row: Row) -> bool:
    """Tell whether this very container is or was healthy."""
    return seen.healthy or row.healthy_id == seen.id


def with_reading(facts: Facts, up_since: float | None, activity: Activity | None, *, healthy: bool) -> Facts:
    """Return facts with what the container and its agent themselves say."""
    return replace(facts, up_since=up_since, activity=activity, was_healthy=facts.was_healthy or healthy)


def as_inputs(facts: Facts) -> dict[str, Any]:
    """Return facts for the ledger."""
    return asdict(facts)


def life(state: str) -> str:
    """Return what a container's state means for a family: `awake`, `asleep`, or the state itself."""
    if state == RUNNING:
        return "awake"
    return state if state in {MISSING, UNMANAGED, "restarting", "paused"} else "asleep"


def last_life(row: Row) -> tuple[float, str] | None:
    """Return the newest sign of life of a family and which signal it was."""
    named = [
        (row.heartbeat, "heartbeat"),
        (row.touched, "request"),
        (row.woken, "wake"),
        (row.human, "person"),
        (row.message, "message"),
    ]
    return max(((at, name) for at, name in named if at is not None), default=None)
