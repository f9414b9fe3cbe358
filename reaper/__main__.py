"""Runs the command line: `python -m reaper`."""

import sys

from reaper.cli import main

if __name__ == "__main__":
    sys.exit(main())
