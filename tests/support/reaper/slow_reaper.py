"""The daemon on a machine that is slow between two readings: it prints each family to stop, and pauses.

usage: python -m tests.support.reaper.slow_reaper SECONDS [--one-reading]

With `--one-reading` it acts on the first one, so that a test can show what the second is for.
"""

import contextlib
import os
import sys
import time
from unittest.mock import patch
from uuid import UUID

from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper import cli
from reaper.context import Context
from reaper.sweep import candidates, stop
from reaper.sweep.probe import Reading, read_candidate
from reaper.sweep.stop import Stopped, stop_family

_FIRST: dict[UUID, Reading] = {}


def _slowly(context: Context, family: Family, seen: ContainerSummary) -> tuple[Stopped, Reading | None]:
    os.write(1, f"{family.name}\n".encode())  # one write: lines that threads print may mix
    time.sleep(float(sys.argv[1]))
    return stop_family(context, family, seen)


def _remembered(context: Context, family: Family, seen: ContainerSummary, grace_since: float) -> Reading:
    _FIRST[family.id] = read_candidate(context, family, seen, grace_since)
    return _FIRST[family.id]


def main() -> int:
    """Run until it is ended."""
    with contextlib.ExitStack() as patched:
        patched.enter_context(patch.object(candidates, "stop_family", _slowly))
        if "--one-reading" in sys.argv:
            patched.enter_context(patch.object(candidates, "read_candidate", _remembered))
            patched.enter_context(patch.object(stop, "second_reading", lambda _, family, __: _FIRST[family.id]))
        return cli.main(["run"])


if __name__ == "__main__":
    sys.exit(main())
