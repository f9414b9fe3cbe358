"""A sweep of 1,000 families over a recorded Docker API, which counts the calls."""

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from benchmarks import fleets
from benchmarks.reaper_figures import BY_CPU, BY_WALL, Figure
from fleet.registry import Family, load_registry
from reaper.clock import Beat, Clock, boot_id
from reaper.context import Context, make_context
from reaper.settings import ReaperSettings
from reaper.sweep.sweeper import Sweeper
from reaper.wake.waker import Waker
from tests.support.docker.recorded_docker import Recording, container_id, playing
from tests.support.reaper.reaper import ADMIN_TOKEN, REAPER_KEY

if TYPE_CHECKING:
    from uuid import UUID

FAMILIES = 1000
RUNNING = 400
# Idle families; more than a sweep may stop.
IDLE = 40
MAX_STOPS = 20
RUNS = 5
OWN_SECONDS = 1.0
STACK = "bench-sweep"

_DAY = 86400.0


@dataclass
class Swept:
    """The measured sweeps of one kind; `calls` holds the calls of each."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    calls: list[Counter[str]] = field(default_factory=list)

    def own(self, *, by_cpu: bool) -> float:
        """Return the best run in seconds. Wall time includes the recording, which answers in this process."""
        return min(self.cpu if by_cpu else self.wall)

    def most(self, kind: str) -> int:
        """Return the most calls of one kind that a sweep made."""
        return max(calls[kind] for calls in self.calls)


def measure(*, by_cpu: bool) -> list[Figure]:
    """Measure a sweep that finds no idle family, and one that finds more than it may stop."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        bench = fleets.Bench(STACK, FAMILIES, awake=0, image="recorded")
        registry = fleets.write_registry(bench, folder)
        families = load_registry(registry).families
        settings = ReaperSettings(STACK, registry, folder / "reaper.db", REAPER_KEY, ADMIN_TOKEN, max_stops=MAX_STOPS)
        return [
            *_figures("none idle", _sweeps(settings, folder, families, idle=0), 0, by_cpu=by_cpu),
            *_figures(f"{IDLE} idle", _sweeps(settings, folder, families, idle=IDLE), IDLE, by_cpu=by_cpu),
        ]


def _figures(name: str, swept: Swept, idle: int, *, by_cpu: bool) -> list[Figure]:
    what = f"sweep of {FAMILIES:,} families, {name}"
    stops = min(idle, MAX_STOPS)
    return [
        Figure(
            f"{what}: own time",
            swept.own(by_cpu=by_cpu) * 1000,
            "ms",
            OWN_SECONDS * 1000,
            BY_CPU if by_cpu else BY_WALL,
        ),
        Figure(f"{what}: list calls", swept.most("list"), limit=1),
        # Candidates only, twice: a family is probed again just before its stop.
        Figure(f"{what}: probes", swept.most("probe"), limit=2 * idle),
        Figure(f"{what}: stops", swept.most("stop"), limit=stops),
    ]


def _sweeps(settings: ReaperSettings, folder: Path, families: Sequence[Family], *, idle: int) -> Swept:
    """Sweep a few times from the same state; the first sweep, which imports and caches, does not count."""
    swept = Swept()
    recording = Recording(STACK)
    with playing(recording, folder) as host, patch.dict("os.environ", {"DOCKER_HOST": host}):
        context = make_context(folder, settings=settings)
        try:
            for run in range(RUNS + 1):
                _begin(context, recording, families, idle)
                sweeper = Sweeper(context, Waker(context))
                wall, cpu, answering = time.perf_counter(), time.process_time(), recording.cpu
                report = sweeper.sweep()
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                assert report.problem is None, report.problem
                if run:
                    swept.wall.append(wall)
                    swept.cpu.append(cpu - (recording.cpu - answering))
                    swept.calls.append(Counter(recording.calls))
        finally:
            context.close()
    return swept


def _begin(context: Context, recording: Recording, families: Sequence[Family], idle: int) -> None:
    """Store a day of observations: sleepers with known schedules, awake families in use except the idle ones."""
    clock = Clock()
    now = clock.now()
    rows: dict[UUID, dict[str, float | str | None]] = {}
    for at, family in enumerate(families):
        running = at < RUNNING
        recording.states[family.id] = "running" if running else "exited"
        rows[family.id] = {
            "state": "awake" if running else "asleep",
            "state_since": now - 3600,
            "healthy_id": container_id(family.id),
            "cron_of": container_id(family.id),
            "human": now - (_DAY if at < idle else 60 + at),
            "reason": None if running else "asleep",
        }
    context.store.update_all(rows)
    context.store.set_beat(Beat(now, clock.monotonic(), boot_id(), now - _DAY))
    recording.calls.clear()
