"""Keeps the logs of a failed test's containers in the test report: the containers themselves are removed."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from docker.errors import APIError, NotFound

from tests.support.fleet.fleet import FleetUnderTest
from tests.support.pulumi.pulumi_stack import ROOT

FOLDER = "test-report/logs"


def fleets_of(values: Iterable[object]) -> Iterator[FleetUnderTest]:
    """Yield the fleets among a test's fixtures, and those that a fixture holds."""
    for value in values:
        for held in (value, *getattr(value, "__dict__", {}).values()):
            if isinstance(held, FleetUnderTest):
                yield held


def keep(fleets: Iterable[FleetUnderTest], name: str, root: Path = ROOT) -> list[Path]:
    """Write state and log of each container of these fleets below `root`/FOLDER/`name` and return the files.

    A container that is gone has none. The name may hold anything; it becomes one that files can have.
    """
    target = root / FOLDER / re.sub(r"[^\w.-]+", "-", name)[-150:]
    kept = []
    for fleet in fleets:
        for entry in fleet.families:
            with contextlib.suppress(NotFound, APIError):
                container = fleet.container(entry["name"])
                target.mkdir(parents=True, exist_ok=True)
                file = target / f"{entry['name']}.log"
                file.write_bytes(f"{container.attrs['State']}\n\n".encode() + container.logs(timestamps=True))
                kept.append(file)
    return kept


def keep_for_report(item: pytest.Item, report: pytest.TestReport, root: Path = ROOT) -> None:
    """Keep the logs of a test that failed, and say in its report where they are."""
    fleets = {id(fleet): fleet for fleet in fleets_of(getattr(item, "funcargs", {}).values())}
    kept = keep(fleets.values(), item.nodeid, root)
    if kept:
        report.sections.append(("logs of containers", "\n".join(str(file.relative_to(root)) for file in kept)))
