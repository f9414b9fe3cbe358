"""Runs the command line of the reaper: `python -m reaper`."""

import sys

from fleet.cli.reaper import main

if __name__ == "__main__":
    sys.exit(main())
