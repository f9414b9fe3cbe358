"""The plan of new families, by the fleet's own program and by an equal bare one, in turns."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import fleets
from benchmarks.engine import Measured, Program
from fleet.plan.preview import ping_socket

MAX_RATIO = 1.10
MAX_GROWTH = 1.3

OURS, BARE = "ours", "bare"
IMAGE = "hermes-fleet-bench:1"


@dataclass(frozen=True)
class Compared:
    """All runs of one size. Noise only ever adds time, so the best run of each program counts."""

    families: int
    runs: dict[str, list[Measured]]
    busy: bool

    def best(self, program: str) -> float:
        """Return a program's best time in seconds: processor time where the machine did other work too."""
        return min(run.cpu if self.busy else run.seconds for run in self.runs[program])

    @property
    def ratio(self) -> float:
        """Return how much longer the fleet's program took."""
        return self.best(OURS) / self.best(BARE)


def measure(sizes: Sequence[int], runs: int, *, busy: bool) -> list[Compared]:
    """Measure every size. Nothing is asked of a Docker daemon and nothing is changed on one."""
    return [_compare(size, runs, busy=busy) for size in sizes]


def failures(measured: Sequence[Compared]) -> list[str]:
    """Return what is over the agreed ratios: the largest size against bare, and its cost a family against the least."""
    first, last = measured[0], measured[-1]
    found = []
    if last.ratio > MAX_RATIO:
        found.append(f"the plan of {last.families} families takes {last.ratio:.2f} times the bare program's time")
    growth = (last.best(OURS) / last.families) / (first.best(OURS) / first.families)
    if last is not first and growth > MAX_GROWTH:
        found.append(f"a family costs {growth:.2f} times as much among {last.families} as among {first.families}")
    return found


def _compare(size: int, runs: int, *, busy: bool) -> Compared:
    stack = f"bench-plan-{size}"
    bench = fleets.Bench(stack, size, awake=0, image=IMAGE)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ping_socket() as docker_host:
        base = Path(folder)
        registry, data = fleets.write_registry(bench, base), base / "fleet.json"
        data.write_text(json.dumps(fleets.bare_fleet(bench, registry)), encoding="utf-8")
        env = {"DOCKER_HOST": docker_host, "BENCH_FLEET": str(data)}
        programs = {
            OURS: Program(OURS, fleets.ROOT, stack, base / OURS, env),
            BARE: Program(BARE, fleets.ROOT / "benchmarks" / BARE, stack, base / BARE, env),
        }
        programs[OURS].configure(*fleets.config(bench, registry))
        found: dict[str, list[Measured]] = {OURS: [], BARE: []}
        for turn in range(runs):
            order = [BARE, OURS] if turn % 2 == 0 else [OURS, BARE]
            for name in order:
                found[name].append(programs[name].preview())
    return Compared(size, found, busy)
