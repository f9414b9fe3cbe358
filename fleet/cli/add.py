"""`add`: appends a family to the registry."""

import argparse

from fleet.cli import add_registry_arguments, registry_here
from fleet.registry import add_family
from fleet.registry.reader import display_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("display_name", metavar="NAME", help="what the agent calls the family: 'The Smiths'")
    add_registry_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Add the family and say under which name."""
    path = registry_here(args)
    family = add_family(path, args.display_name)
    print(f"{display_path(path)}: added {family.name} ({family.id})")
    return 0
