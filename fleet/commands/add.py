"""`add`: appends a family to the registry."""

import argparse

from fleet.commands import add_registry_argument
from fleet.registry import add_family


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("display_name", metavar="NAME", help="what the agent calls the family: 'The Smiths'")
    add_registry_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Add the family and say under which name."""
    family = add_family(args.registry, args.display_name)
    print(f"{args.registry}: added {family.name} ({family.id})")
    return 0
