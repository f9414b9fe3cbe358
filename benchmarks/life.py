"""Measures first up, no-op up, refresh and rolls on the local Docker daemon, beside an equal bare program."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import docker
from docker.errors import NotFound

from benchmarks import fleets
from benchmarks.engine import Measured, Program, progress
from benchmarks.plan import BARE, MAX_RATIO, OURS
from fleet import naming
from tests.support.fleet import stub_agent

NEW_KEY = "sk-benchmark-0002"
FIRST, NOOP, REFRESH, ROLL = "first up, all asleep", "no-op up", "refresh", "roll, all asleep"


@dataclass(frozen=True)
class Lived:
    """One stage of one size, by program; `state_mib` is the size of the state after it."""

    families: int
    stage: str
    measured: dict[str, Measured]
    state_mib: dict[str, float]

    def ratio(self, *, by_cpu: bool) -> float:
        """Return how much longer the fleet's program took, by wall or by processor time."""
        bare, ours = self.measured[BARE], self.measured[OURS]
        return ours.cpu / bare.cpu if by_cpu else ours.seconds / bare.seconds


def failures(lived: Sequence[Lived], *, by_cpu: bool) -> list[str]:
    """Return what is over the agreed ratio at the largest size.

    Not judged are a refresh, which runs no program, and a roll of awake families, as the bare program has no gates.
    """
    largest = max(each.families for each in lived)
    return [
        f"{each.stage} of {each.families} families takes {each.ratio(by_cpu=by_cpu):.2f} times the bare program's time"
        for each in lived
        if each.families == largest and each.stage in {FIRST, NOOP, ROLL} and each.ratio(by_cpu=by_cpu) > MAX_RATIO
    ]


def measure(sizes: Sequence[int], runs: int, *, awake: bool, environment: Mapping[str, str]) -> list[Lived]:
    """Measure every size, one program after the other on the same names, and clean up after each.

    What changes nothing is run so many times. `awake`: also roll a fifth of the families awake. `environment` is what
    the engine of both programs gets on top of its own.
    """
    client = docker.from_env()
    try:
        image = stub_agent.build(client, "bench")
        found = []
        for size in sizes:
            for running in (0, max(1, size // 5)) if awake else (0,):
                bench = fleets.Bench(f"bench-life-{size}", size, running, image)
                found += _life(client, bench, runs, environment)
        return found
    finally:
        client.close()


def _life(client: docker.DockerClient, bench: fleets.Bench, runs: int, environment: Mapping[str, str]) -> list[Lived]:
    stages: dict[str, dict[str, tuple[Measured, float]]] = {}
    for name in (BARE, OURS):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                for stage, measured, state in _stages(name, Path(folder), bench, runs, environment):
                    progress(f"{bench.families} families, {name}: {stage}", measured)
                    stages.setdefault(stage, {})[name] = (measured, state)
            finally:
                clean(client, bench)
    return [
        Lived(bench.families, stage, {n: m for n, (m, _) in by.items()}, {n: s for n, (_, s) in by.items()})
        for stage, by in stages.items()
    ]


def _stages(
    name: str, folder: Path, bench: fleets.Bench, runs: int, environment: Mapping[str, str]
) -> Iterator[tuple[str, Measured, float]]:
    registry, data = fleets.write_registry(bench, folder), folder / "fleet.json"
    source = fleets.ROOT if name == OURS else fleets.ROOT / "benchmarks" / BARE
    program = Program(name, source, bench.stack, folder / name, {"BENCH_FLEET": str(data), **environment})

    def declare(now: fleets.Bench) -> None:
        if name == OURS:
            program.configure(*fleets.config(now, registry))
        else:
            data.write_text(json.dumps(fleets.bare_fleet(now, registry)), encoding="utf-8")

    declare(bench)
    first = program.up()
    if bench.awake:
        declare(replace(bench, llm_key=NEW_KEY))
        yield f"roll, {bench.awake} awake", program.up(), program.state_bytes() / 2**20
        return
    yield FIRST, first, program.state_bytes() / 2**20
    yield NOOP, _best(program.up, runs), program.state_bytes() / 2**20
    yield REFRESH, _best(program.refresh, runs), program.state_bytes() / 2**20
    declare(replace(bench, llm_key=NEW_KEY))
    yield ROLL, program.up(), program.state_bytes() / 2**20


def _best(stage: Callable[[], Measured], runs: int) -> Measured:
    """Return the best of a few runs that change nothing: noise only adds time."""
    return min((stage() for _ in range(runs)), key=lambda run: run.seconds)


def clean(client: docker.DockerClient, bench: fleets.Bench) -> None:
    """Remove every container, volume and network of a fleet that was measured."""
    for index in range(bench.families):
        name = naming.container_name(fleets.family_id(bench.stack, index))
        with suppress(NotFound):
            client.api.remove_container(name, force=True)
        with suppress(NotFound):
            client.api.remove_volume(f"{name}-data", force=True)
    with suppress(NotFound):
        client.api.remove_network(naming.network_name(bench.stack))
