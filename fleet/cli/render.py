"""`render`: prints what the container of a family is given, secrets masked."""

import argparse
import sys
from pathlib import Path

from fleet import naming
from fleet.cli import ROOT, add_registry_arguments, find_family, is_in_project, registry_here
from fleet.container import spec_for
from fleet.container.credentials import redaction_for
from fleet.registry import load_registry
from fleet.registry.source import display_path
from fleet.settings import Settings
from fleet.stack_file import placeholder_settings, read_settings, stack_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("family", metavar="FAMILY", help="name or UUID")
    add_registry_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print config.yaml, the identity block and the managed part of `.env`."""
    family = find_family(load_registry(registry_here(args)), args.family)
    settings = _settings(naming.stack_label(args.stack))
    spec = spec_for(family, settings)
    mask = redaction_for(settings, [family])
    parts = {
        "config.yaml": spec.config,
        "memories/MEMORY.md, our entry": spec.identity,
        ".env, our block": spec.env,
    }
    print("\n\n".join(f"# --- {title}\n{mask.apply(text).rstrip()}" for title, text in parts.items()))
    return 0


def _settings(stack: str) -> Settings:
    root = ROOT if is_in_project() else Path.cwd()
    path = stack_path(root, stack)
    if path.is_file():
        return read_settings(root, stack)
    print(f"{display_path(path)} is not there: shown with placeholders for its config", file=sys.stderr)
    return placeholder_settings(root, stack)
