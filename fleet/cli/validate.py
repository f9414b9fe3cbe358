"""`validate`: checks the registry and prints every problem, each with line and column."""

import argparse
import os
import sys
from pathlib import Path

from fleet.cli import add_registry_arguments, registry_here
from fleet.registry import load_registry
from fleet.registry.reader import display_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_registry_arguments(parser)
    parser.add_argument(
        "--plugins-dir",
        type=Path,
        metavar="DIR",
        help="the directory that containers mount; default: plugins beside the registry, where there is one",
    )


def run(args: argparse.Namespace) -> int:
    """Check and say how many families are fine."""
    path = registry_here(args)
    plugins_dir: Path | None = args.plugins_dir
    if plugins_dir is None:
        beside = path.parent / "plugins"
        plugins_dir = beside if os.path.isdir(beside) else None  # noqa: PTH112 - no error where it may not be looked at
    registry = load_registry(path, plugins_dir)
    if plugins_dir is None:
        print("plugins were not checked: no directory named plugins beside the registry", file=sys.stderr)
    count = len(registry.families)
    print(f"{display_path(path)}: {count} {'family' if count == 1 else 'families'}, no problems")
    return 0
