"""`python -m reaper run`, slow between two readings: it prints the family that it is about to stop, and waits.

usage: python -m tests.support.reaper.slow_reaper SECONDS [--one-reading]

With `--one-reading` it acts on the first reading, so that a test can show what the second prevents.
"""

import contextlib
import os
import sys
import time
from unittest.mock import patch

from fleet import cli
from reaper.context import Context
from reaper.sweep import stop
from reaper.sweep.probe import Decided
from reaper.sweep.stop import stop_family


def _slowly(context: Context, first: Decided) -> Decided:
    os.write(1, f"{first.family.name}\n".encode())  # a test reads this; print() of two threads would mix lines
    time.sleep(float(sys.argv[1]))
    return stop_family(context, first)


def main() -> int:
    """Run until it is killed."""
    with contextlib.ExitStack() as patched:
        patched.enter_context(patch.object(stop, "stop_family", _slowly))
        if "--one-reading" in sys.argv:
            patched.enter_context(patch.object(stop, "second_reading", lambda _, first: first))
        return cli.main(["reaper", "run"])


if __name__ == "__main__":
    sys.exit(main())
