"""A reaper under test: a fake engine with fake agents, clocks that a test moves, and a store in a folder."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from fleet import naming
from fleet.errors import FleetError  # noqa: TC001 - raised as values, too
from fleet.host import ContainerSummary
from fleet.host.activity import Activity
from fleet.host.cron import CronReading
from reaper.clock import Clock
from reaper.context import Context
from reaper.engine import ContainerDetails, GoneError
from reaper.registry import Families
from reaper.settings import ReaperSettings
from reaper.store import Store

STACK = "test-unit"
REAPER_KEY = "7ea9" * 16
ADMIN_TOKEN = "ad317" * 8


@dataclass
class FakeClock:
    """Clocks that stand still until a test moves them."""

    wall: float = 1_800_000_000.0
    steady: float = 1000.0

    def pass_time(self, seconds: float) -> None:
        """Move every clock ahead."""
        self.wall += seconds
        self.steady += seconds

    def as_clock(self) -> Clock:
        """Return the clocks; a sleep moves them ahead."""

        async def pause(seconds: float) -> None:
            self.pass_time(seconds)
            await asyncio.sleep(0)

        return Clock(lambda: self.wall, lambda: self.steady, lambda: self.steady, self.pass_time, pause)


@dataclass
class FakeContainer:
    """One container of the fake engine."""

    id: str
    name: str
    labels: dict[str, str]
    state: str = "running"
    healthy: bool = True
    created: float = 0.0
    started: float = 0.0
    port: int | None = None
    activity: Activity = field(default_factory=lambda: Activity(0.0))
    next_run: CronReading = field(default_factory=CronReading)

    @property
    def status(self) -> str:
        """Return Docker's status line."""
        if self.state != "running":
            return "Exited (0) 5 minutes ago"
        return f"Up 5 minutes ({'healthy' if self.healthy else 'unhealthy'})"


class FakeEngine:
    """Containers in memory. `fail` maps a call's name to what it raises; `calls` holds (call, container name)."""

    def __init__(self, clock: FakeClock) -> None:
        """Start without containers."""
        self.clock = clock
        self.containers: dict[str, FakeContainer] = {}
        self.calls: list[tuple[str, str]] = []
        self.fail: dict[str, FleetError] = {}
        self.before: dict[str, Any] = {}
        self.lock = threading.Lock()

    def add(self, family_id: UUID, **values: Any) -> FakeContainer:
        """Add a family's container, running and healthy for a day, with an idle agent."""
        labels = naming.family_labels(STACK, "any", family_id)
        name = naming.container_name(family_id)
        started = self.clock.wall - 86_400
        container = FakeContainer(f"{family_id.hex:0>64}", name, labels, created=started, started=started)
        for key, value in values.items():
            setattr(container, key, value)
        self.containers[container.name] = container
        return container

    def did(self, call: str) -> list[str]:
        """Return the names of the containers that saw a call."""
        return [name for done, name in self.calls if done == call]

    def _called(self, call: str, of: str) -> FakeContainer:
        hook = self.before.get(call)
        if hook:
            hook()
        with self.lock:
            container = next((each for each in self.containers.values() if of in {each.id, each.name}), None)
            self.calls.append((call, container.name if container else of))
        if call in self.fail:
            raise self.fail[call]
        if container is None:
            raise GoneError(f"{of}: there is no such container")
        return container

    def list(self) -> dict[str, ContainerSummary]:
        """Answer like Docker's listing."""
        self.calls.append(("list", ""))
        if "list" in self.fail:
            raise self.fail["list"]
        return {
            name: ContainerSummary(each.id, name, each.state, dict(each.labels), each.status, each.port)
            for name, each in self.containers.items()
        }

    def inspect(self, name_or_id: str) -> ContainerDetails:
        """Answer like Docker's inspect."""
        of = self._called("inspect", name_or_id)
        healthy = of.healthy and of.state == "running"
        return ContainerDetails(of.id, of.name, of.state, dict(of.labels), healthy, of.created, of.started, of.port)

    def activity(self, container_id: str) -> Activity:
        """Answer with the container's activity."""
        return replace(self._called("activity", container_id).activity, read_at=self.clock.wall)

    def next_run(self, container_id: str, after: float | None) -> CronReading:
        """Answer with the container's next run."""
        reading = self._called("next_run", container_id).next_run
        over = after is not None and reading.next_run is not None and reading.next_run <= after
        return replace(reading, next_run=None) if over else reading

    def start(self, container_id: str) -> None:
        """Start a container."""
        container = self._called("start", container_id)
        container.state, container.started = "running", self.clock.wall

    def stop(self, container_id: str, grace: int) -> None:
        """Stop a container."""
        assert grace > 0
        self._called("stop", container_id).state = "exited"

    def remove(self, container_id: str) -> None:
        """Remove a container."""
        container = self._called("remove", container_id)
        assert container.state != "running"
        del self.containers[container.name]

    def logs(self, container_id: str, lines: int) -> str:
        """Answer with a log that holds a secret."""
        self._called("logs", container_id)
        return f"booting\nAPI_SERVER_KEY=planted-secret-0001\nlast of {lines} lines"

    def volume_sizes(self) -> Mapping[str, int]:
        """Answer with one size per container."""
        return {f"{name}-data": 1000 for name in self.containers}

    def close(self) -> None:
        """Do nothing: there is no connection."""


@dataclass
class ReaperUnderTest:
    """A reaper over the fake engine; `families` are registry entries."""

    folder: Path
    clock: FakeClock
    engine: FakeEngine
    context: Context

    def container(self, name: str) -> FakeContainer:
        """Return a family's container."""
        family = self.context.families.find(name)
        assert family
        return self.engine.containers[naming.container_name(family.id)]


def write_registry(folder: Path, entries: list[dict[str, Any]]) -> Path:
    """Write a registry and return its path."""
    path = folder / "families.yaml"
    path.write_text(yaml.safe_dump({"families": entries}), encoding="utf-8")
    return path


def make_reaper(folder: Path, entries: list[dict[str, Any]], **settings: Any) -> ReaperUnderTest:
    """Return a reaper whose families all have a container that has been up and idle for a day."""
    clock = FakeClock()
    engine = FakeEngine(clock)
    values: dict[str, Any] = {
        "stack": STACK,
        "registry": write_registry(folder, entries),
        "database": folder / "reaper.db",
        "reaper_key": REAPER_KEY,
        "admin_token": ADMIN_TOKEN,
        **settings,
    }
    made = ReaperSettings(**values)
    clocks = clock.as_clock()
    context = Context(made, Families(made.registry), Store(made.database, clocks), engine, clocks)
    for family in context.families.current().families:
        engine.add(family.id)
    return ReaperUnderTest(folder, clock, engine, context)
