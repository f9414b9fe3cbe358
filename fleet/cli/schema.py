"""`schema`: prints the registry's JSON Schema, writes it, or checks that the written one is fresh."""

import argparse
from pathlib import Path

from fleet.errors import FleetError
from fleet.output_file import write_output
from fleet.registry.schema import FILE_NAME, schema_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help=f"write {FILE_NAME}")
    what.add_argument("--check", action="store_true", help=f"fail unless {FILE_NAME} is fresh")
    parser.add_argument("--file", type=Path, default=Path(FILE_NAME), metavar="FILE", help=f"default: {FILE_NAME}")


def run(args: argparse.Namespace) -> int:
    """Print, write or check."""
    fresh, path = schema_text(), args.file
    if args.write:
        write_output(path, fresh)
    elif not args.check:
        print(fresh, end="")
    elif not path.is_file() or path.read_text(encoding="utf-8") != fresh:
        raise FleetError(f"{path} is not what the models say; make it with: python -m fleet schema --write")
    return 0
