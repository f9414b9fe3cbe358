"""`purge`: deletes the data of a family that is gone."""

import argparse
from pathlib import Path

from fleet import host, identity, purge
from fleet.commands import DEFAULT_REGISTRY, add_stack_argument
from fleet.commands.plan import ROOT
from fleet.problems import FleetError
from fleet.registry import load_registry
from fleet.stack_file import registry_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("family", metavar="FAMILY", help="its id, or the name it was created under")
    parser.add_argument("--yes", metavar="FAMILY", required=True, help="the same once more")
    parser.add_argument("--registry", type=Path, metavar="FILE", help="default: the one that the stack's config names")
    add_stack_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Delete the family's volume for good."""
    if args.yes != args.family:
        raise FleetError(f"--yes {args.yes} is not {args.family}; nothing was deleted")
    stack = identity.stack_label(args.stack)
    registry = load_registry(args.registry or registry_of(ROOT, stack) or DEFAULT_REGISTRY)
    client = host.connect()
    try:
        volume = purge.volume_to_purge(registry, host.observe(client.api), stack, args.family)
        purge.purge(client, volume)
    finally:
        client.close()
    print(f"{args.family}: volume {volume} and everything in it is deleted")
    return 0
