"""`adopt`: takes over a fleet that was started by `docker run`."""

import argparse
from contextlib import closing

from fleet import adopt, host
from fleet.cli import add_registry_arguments, registry_here
from fleet.registry import load_registry
from fleet.registry.reader import display_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_registry_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def run(args: argparse.Namespace) -> int:
    """Stop and remove the registry's unlabelled containers, and keep their volumes."""
    registry = load_registry(registry_here(args))
    with closing(host.connect()) as client:
        found = adopt.candidates(registry.families, host.list_fleet(client.api))
        adopt.check(client, found)
        if args.dry_run:
            for candidate in found:
                print(f"{candidate.family.name}: would stop and remove {candidate.seen.name}, and keep its volume")
        else:
            adopt.adopt(client, found, print)
    if not found:
        where = display_path(registry.path)
        print(f"nothing to adopt: no family of {where} has a container without a stack's labels")
    elif not args.dry_run:
        print("next: pulumi up (or make up) declares them on their volumes, asleep; ensure or docker start wakes them")
    return 0
