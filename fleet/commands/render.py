"""`render`: prints what the container of a family is given, secrets masked."""

import argparse
import sys
from pathlib import Path

from fleet import identity
from fleet.commands import add_registry_argument, add_stack_argument, find_family
from fleet.keys import api_key_for
from fleet.masking import Mask
from fleet.registry import load_registry
from fleet.rendering import render_config_masked, render_env, render_identity
from fleet.settings import Settings
from fleet.stack_file import placeholder_settings, read_settings, stack_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("family", metavar="FAMILY", help="name or UUID")
    add_registry_argument(parser)
    add_stack_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print config.yaml, the identity block and the managed part of `.env`."""
    family = find_family(load_registry(args.registry), args.family)
    settings = _settings(identity.stack_label(args.stack))
    mask = Mask([api_key_for(settings.master_key, family.id)])
    parts = {
        "config.yaml": render_config_masked(family, settings),
        "memories/MEMORY.md, our entry": render_identity(family),
        ".env, our block": render_env(family, settings),
    }
    print("\n\n".join(f"# --- {title}\n{mask.apply(text).rstrip()}" for title, text in parts.items()))
    return 0


def _settings(stack: str) -> Settings:
    root = Path.cwd()
    if stack_path(root, stack).is_file():
        return read_settings(root, stack)
    print(f"{stack_path(Path(), stack)} is not there: shown with placeholders for its config", file=sys.stderr)
    return placeholder_settings(root, stack)
