"""Compares remedies against the state's growth: the same first `up` with other ways to store the state.

The file backend writes the whole state at every step of an update, so writing grows with the square of the fleet. Each
remedy declares the same sleeping families with the fleet's own program.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import docker

from benchmarks import fleets
from benchmarks.engine import SKIP_CHECKPOINTS, Measured, Program, progress
from benchmarks.life import NEW_KEY, clean
from tests.support.fleet import stub_agent

PARTS = 4
_NO_BACKUPS = {"PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true"}


@dataclass(frozen=True)
class Remedy:
    """A way to keep the state: environment of the engine, the backend (None: files), and over how many stacks."""

    name: str
    environment: Mapping[str, str]
    backend: str | None = None
    stacks: int = 1


@dataclass(frozen=True)
class Remedied:
    """What one remedy took for all its stacks, one after the other: first up, a roll of all, and a no-op."""

    families: int
    remedy: str
    first: Measured
    roll: Measured
    noop: Measured


def remedies(postgres: str | None) -> list[Remedy]:
    """Return what is tried; `postgres` is the URL of a database to keep state in, as Pulumi takes it."""
    found = [
        Remedy("files", {}),
        Remedy("files, no backup of each step", _NO_BACKUPS),
        Remedy("files, zstd", {"PULUMI_DIY_BACKEND_ZSTD": "true"}),
        Remedy(f"files, {PARTS} stacks", {}, stacks=PARTS),
        Remedy("files, engine told to keep to 1 GiB", {"GOMEMLIMIT": "1GiB"}),
        Remedy("files, only at the end (a killed up loses it: never for real)", SKIP_CHECKPOINTS),
    ]
    return [*found, Remedy("PostgreSQL", {}, postgres)] if postgres else found


def measure(families: int, postgres: str | None) -> list[Remedied]:
    """Measure every remedy with so many families, and clean up after each."""
    client = docker.from_env()
    try:
        image = stub_agent.build(client, "bench")
        return [_remedied(client, remedy, families, image) for remedy in remedies(postgres)]
    finally:
        client.close()


def _remedied(client: docker.DockerClient, remedy: Remedy, families: int, image: str) -> Remedied:
    share = families // remedy.stacks
    benches = [fleets.Bench(f"bench-part-{part}", share, awake=0, image=image) for part in range(remedy.stacks)]
    runs: list[tuple[Measured, ...]] = []
    for bench in benches:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                runs.append(tuple(_run(remedy, Path(folder), bench)))
                for stage, measured in zip(("first up", "roll", "no-op up"), runs[-1], strict=True):
                    progress(f"{share} families, {remedy.name}: {stage}", measured)
            finally:
                clean(client, bench)
    first, roll, noop = (_sum(stage) for stage in zip(*runs, strict=True))
    return Remedied(share * remedy.stacks, remedy.name, first, roll, noop)


def _run(remedy: Remedy, folder: Path, bench: fleets.Bench) -> Iterator[Measured]:
    registry = fleets.write_registry(bench, folder)
    program = Program("ours", fleets.ROOT, bench.stack, folder / "ours", remedy.environment, remedy.backend)
    try:
        program.configure(*fleets.config(bench, registry))
        yield program.up()
        program.configure(*fleets.config(replace(bench, llm_key=NEW_KEY), registry))
        yield program.up()
        yield program.up()
    finally:
        if remedy.backend:
            program.run("stack", "rm", "--force", "--yes")


def _sum(stage: tuple[Measured, ...]) -> Measured:
    return Measured(
        sum(run.seconds for run in stage), sum(run.cpu for run in stage), max(run.engine_mib for run in stage)
    )
