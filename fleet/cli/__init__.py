"""The commands of `python -m fleet`, one module each, and what several of them share."""

import argparse
import os
from pathlib import Path

from fleet import naming
from fleet.errors import FleetError
from fleet.registry import Family, Registry
from fleet.registry.fields import suggestion
from fleet.registry.reader import display_path
from fleet.settings import DEFAULT_REGISTRY
from fleet.stack_file import registry_of

# The project: the directory of Pulumi.yaml.
ROOT = Path(__file__).parent.parent.parent


def add_stack_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command take the name of the stack, as Pulumi's and the reaper's environment give it."""
    default = os.environ.get("PULUMI_STACK") or os.environ.get("HERMES_FLEET_STACK") or "dev"
    what = "default: $PULUMI_STACK, else $HERMES_FLEET_STACK, else dev"
    parser.add_argument("--stack", default=default, metavar="NAME", help=what)


def add_config_file_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command take the stack's config from another file."""
    parser.add_argument("--config-file", type=Path, metavar="FILE", help="the stack's config; default: in stacks/")


def add_registry_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take the path of the registry, or the stack that names it."""
    what = "default: the one of the stack's config; families.yaml where there is none"
    parser.add_argument("--registry", type=Path, metavar="FILE", help=what)
    add_stack_argument(parser)


def registry_path(stack: str, given: Path | None = None, config_file: Path | None = None) -> Path:
    """Return the registry to work on: the given one, else the stack's, else families.yaml in the current directory.

    Raises FleetError where the stack's config cannot be read.
    """
    return given or registry_of(ROOT, naming.stack_label(stack), config_file) or Path(DEFAULT_REGISTRY)


def is_in_project() -> bool:
    """Tell whether the current directory lies in the project."""
    return Path.cwd().is_relative_to(ROOT)


def registry_here(args: argparse.Namespace) -> Path:
    """Return the registry for a command that also works elsewhere, on a families.yaml that belongs to no stack.

    Raises FleetError as `registry_path` does.
    """
    given: Path | None = args.registry
    return given or (registry_path(args.stack) if is_in_project() else Path(DEFAULT_REGISTRY))


def find_family(registry: Registry, slug_or_uuid: str) -> Family:
    """Return a family of the registry. Raises FleetError with the nearest name where there is none."""
    try:
        return registry.get(slug_or_uuid)
    except KeyError:
        near = suggestion(slug_or_uuid, (family.name for family in registry.families))
        raise FleetError(f"{slug_or_uuid!r} is not in {display_path(registry.path)}{near}") from None
