"""`purge`: deletes the data of a family that is gone."""

import argparse

from fleet import host, purge
from fleet.commands import add_registry_argument, add_stack_argument
from fleet.problems import FleetError
from fleet.registry import load_registry


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("family", metavar="FAMILY", help="its id, or the name it was created under")
    parser.add_argument("--yes", metavar="FAMILY", required=True, help="the same once more")
    add_registry_argument(parser)
    add_stack_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Delete the family's volume for good."""
    if args.yes != args.family:
        raise FleetError(f"--yes {args.yes} is not {args.family}; nothing was deleted")
    registry = load_registry(args.registry)
    client = host.connect()
    try:
        volume = purge.volume_to_purge(registry, host.observe(client.api), args.stack, args.family)
        purge.purge(client, volume)
    finally:
        client.close()
    print(f"{args.family}: volume {volume} and everything in it is deleted")
    return 0
