"""The commands of `python -m fleet`, one module each, and what several of them share."""

import argparse
import os
from pathlib import Path

from fleet.problems import FleetError
from fleet.registry import Family, Registry
from fleet.registry.values import suggestion

DEFAULT_REGISTRY = Path("families.yaml")


def add_registry_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command take the path of the registry."""
    parser.add_argument(
        "--registry", type=Path, default=DEFAULT_REGISTRY, metavar="FILE", help="default: families.yaml"
    )


def add_stack_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command take the name of the stack, as Pulumi's and the reaper's environment give it."""
    default = os.environ.get("PULUMI_STACK") or os.environ.get("HERMES_FLEET_STACK") or "dev"
    parser.add_argument("--stack", default=default, metavar="NAME", help="default: $PULUMI_STACK, else dev")


def find_family(registry: Registry, slug_or_uuid: str) -> Family:
    """Return a family of the registry. Raises FleetError with the nearest name where there is none."""
    try:
        return registry.get(slug_or_uuid)
    except KeyError:
        near = suggestion(slug_or_uuid, (family.name for family in registry.families))
        raise FleetError(f"{slug_or_uuid!r} is not in {registry.path}{near}") from None
