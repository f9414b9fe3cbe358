"""`list`: prints the families of the registry as a table or as JSON."""

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from fleet import host, naming
from fleet.cli import add_registry_arguments, registry_here
from fleet.live import family_statuses
from fleet.registry import Family, load_registry

Row = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_registry_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--live", action="store_true", help="ask the Docker host who is awake, and where")


def run(args: argparse.Namespace) -> int:
    """Print the registry's families in its order."""
    families = load_registry(registry_here(args)).families
    rows = live(families, naming.stack_label(args.stack)) if args.live else [declared(family) for family in families]
    print(json.dumps(rows, indent=2, ensure_ascii=False) if args.json else table(rows))
    return 0


def declared(family: Family) -> dict[str, Any]:
    """Return what the registry says of a family, as one row."""
    return {
        "name": family.name,
        "id": str(family.id),
        "display_name": family.display_name,
        "timezone": family.timezone,
        "channels": ["api_server", *family.plugins],
        "state": family.state,
        "canary": family.canary,
    }


def live(families: Sequence[Family], stack: str) -> list[dict[str, Any]]:
    """Return what the Docker host shows of each family, as one row. Raises FleetError where no daemon answers."""
    with closing(host.connect()) as client:
        return [asdict(family) for family in family_statuses(families, host.list_fleet(client.api), stack)]


def table(rows: Sequence[Row]) -> str:
    """Return rows of the same keys as columns under their names."""
    if not rows:
        return "no families"
    cells = [[key.upper() for key in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value or "-")
    return text if text.isprintable() else repr(text)[1:-1]
