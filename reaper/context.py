"""What every part of the reaper works with: settings, registry, store, engine, clocks and metrics."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from fleet import keys
from fleet.redaction import Redaction, redact_key_like
from reaper.clock import Clock
from reaper.engine import DockerEngine, Engine
from reaper.metrics import Metrics
from reaper.registry import Families
from reaper.settings import ReaperSettings, load_settings
from reaper.store import Store


@dataclass
class Context:
    """The parts of one reaper. The daemon sets `ended` when it shuts down: every wait then ends.

    `boot_slots` limit this process's boots while the store, which limits those of the host, does not work.
    """

    settings: ReaperSettings
    families: Families
    store: Store
    engine: Engine
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    ended: threading.Event = field(default_factory=threading.Event)
    boot_slots: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        """Allow `max_boots` boots at a time."""
        self.boot_slots = threading.BoundedSemaphore(self.settings.max_boots)

    def close(self) -> None:
        """Close the store and every connection to the engine."""
        self.store.close()
        self.engine.close()

    def redact(self, text: str) -> str:
        """Return a string without the keys that the reaper knows, and without what looks like a key."""
        masters = [key for key in (self.settings.reaper_key, self.settings.previous_key) if key]
        known = [*masters, self.settings.admin_token]
        known += [keys.heartbeat_token_for(m, family.id) for m in masters for family in self.families.by_id().values()]
        return redact_key_like(Redaction(known).apply(text))


def make_context(root: Path, *, dry_run: bool = False, settings: ReaperSettings | None = None) -> Context:
    """Return a reaper's parts for the settings in or below `root`; with `dry_run` its store is read-only.

    Raises FleetError for bad settings or a bad registry.
    """
    settings = settings or load_settings(root)
    clock = Clock()
    store = Store(settings.database, clock, read_only=dry_run)
    return Context(settings, Families(settings.registry), store, DockerEngine(), clock)
