"""Writes the measurements as Markdown tables."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.engine import Measured
from benchmarks.life import Lived
from benchmarks.plan import BARE, OURS, Compared
from benchmarks.remedies import Remedied
from benchmarks.roll import Rolled
from tests.support.pulumi.pulumi_stack import find_pulumi


def machine() -> str:
    """Return a line on the machine: processors, load, and versions."""
    cli = subprocess.run(
        [find_pulumi() or "pulumi", "version"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    sdk, provider = (importlib.metadata.version(name) for name in ("pulumi", "pulumi-docker"))
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_processor()} ({os.cpu_count()} cores), {load}; "
        f"Python {platform.python_version()}, Pulumi CLI {cli}, SDK {sdk}, docker provider {provider}"
    )


def plan_table(measured: Sequence[Compared]) -> str:
    """Return the plans, best run of each program."""
    rows = []
    for size in measured:
        best = {name: min(run.seconds for run in runs) for name, runs in size.runs.items()}
        cpu = {name: min(run.cpu for run in runs) for name, runs in size.runs.items()}
        memory = {name: max(run.engine_mib for run in runs) for name, runs in size.runs.items()}
        rows.append(
            [
                f"{size.families:,}",
                *(f"{best[name]:.1f} s" for name in (BARE, OURS)),
                f"{best[OURS] / best[BARE]:.2f}",
                *(f"{cpu[name]:.1f} s" for name in (BARE, OURS)),
                f"{cpu[OURS] / cpu[BARE]:.2f}",
                *(f"{size.best(name) / size.families * 1000:.0f} ms" for name in (BARE, OURS)),
                *(f"{memory[name]:.0f} MiB" for name in (BARE, OURS)),
            ]
        )
    basis = "processor time, as the machine did other work too" if measured[0].busy else "wall time"
    head = "families|bare|ours|ratio|bare cpu|ours cpu|cpu ratio|bare a family|ours a family|bare engine|ours engine"
    return (
        f"{_table(head.split('|'), rows)}\n\nJudged by {basis}; {len(measured[0].runs[OURS])} runs each, best counts."
    )


def life_table(measured: Sequence[Lived]) -> str:
    """Return the stages of a fleet's life."""
    rows = [
        [
            f"{each.families:,}",
            each.stage,
            *(f"{each.measured[name].seconds:.1f} s" for name in (BARE, OURS)),
            f"{each.ratio(by_cpu=False):.2f}",
            f"{each.ratio(by_cpu=True):.2f}",
            f"{each.measured[OURS].seconds / each.families * 1000:.0f} ms",
            *(f"{each.measured[name].engine_mib:.0f} MiB" for name in (BARE, OURS)),
            *(f"{each.state_mib[name]:.2f} MiB" for name in (BARE, OURS)),
        ]
        for each in measured
    ]
    head = "families|stage|bare|ours|ratio|cpu ratio|ours a family|bare engine|ours engine|bare state|ours state"
    return _table(head.split("|"), rows)


def remedies_table(measured: Sequence[Remedied]) -> str:
    """Return what each way to keep the state took, beside the first one."""
    basis = measured[0]
    rows = [
        [
            f"{each.families:,}",
            each.remedy,
            *_beside(each.first, basis.first),
            *_beside(each.roll, basis.roll),
            *_beside(each.noop, basis.noop),
            f"{max(each.first.engine_mib, each.roll.engine_mib):.0f} MiB",
        ]
        for each in measured
    ]
    return _table(["families", "state in", "first up", "ratio", "roll", "ratio", "no-op up", "ratio", "engine"], rows)


def roll_table(rolled: Rolled) -> str:
    """Return a roll of awake families beside what Docker alone took."""
    waves = " + ".join(f"{seconds:.1f}" for seconds in rolled.waves)
    row = [rolled.image, f"{waves} s", f"{rolled.seconds:.1f} s", f"{rolled.ratio:.2f}", f"{rolled.up_seconds:.1f} s"]
    return _table(["image", "Docker alone, wave by wave", "first stop to last healthy", "ratio", "whole up"], [row])


def _beside(mine: Measured, basis: Measured) -> list[str]:
    return [f"{mine.seconds:.1f} s", f"{mine.seconds / basis.seconds:.2f}"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
