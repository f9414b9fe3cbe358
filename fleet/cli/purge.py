"""`purge`: deletes the data of a family that is gone."""

import argparse
from contextlib import closing

from fleet import host, naming, purge
from fleet.cli import add_registry_arguments, registry_path
from fleet.errors import FleetError
from fleet.registry import load_registry


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("family", metavar="FAMILY", help="its id, or the name it was created under")
    parser.add_argument("--yes", metavar="FAMILY", required=True, help="the same once more")
    add_registry_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Delete the family's volume for good."""
    if args.yes != args.family:
        raise FleetError(f"--yes {args.yes} is not {args.family}; nothing was deleted")
    stack = naming.stack_label(args.stack)
    registry = load_registry(registry_path(args.stack, args.registry))
    with closing(host.connect()) as client:
        volume = purge.volume_to_purge(registry, host.list_fleet(client.api), stack, args.family)
        purge.purge(client, volume)
    print(f"{args.family}: volume {volume} and everything in it is deleted")
    return 0
