"""Registries of any size, for tests and benchmarks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import yaml

from fleet.errors import FleetError
from fleet.registry import load_text

_ZONES = ("Europe/London", "Europe/Madrid", "America/New_York", "Asia/Tokyo")


def family_id(index: int) -> UUID:
    """Return the id of the family with this index, the same in every registry of this module."""
    return uuid5(NAMESPACE_URL, f"https://example.org/families/{index}")


def family_entry(index: int, **overrides: Any) -> dict[str, Any]:
    """Return one entry as people write them; `overrides` replace or add keys, None removes one."""
    entry = {
        "name": f"family-{index}",
        "id": str(family_id(index)),
        "display_name": f"Family {index}",
        "timezone": _ZONES[index % len(_ZONES)],
        "members": [{"name": "Anna", "role": "mother"}, {"name": "Ben", "role": "son"}],
        "account": {"email": f"family-{index}@example.org"},
        **overrides,
    }
    return {key: value for key, value in entry.items() if value is not None}


def write_registry(path: Path, count: int, defaults: Mapping[str, Any] | None = None, **overrides: Any) -> Path:
    """Write a registry of `count` families and return its path.

    Each override goes into every family; one that can be called is given the family's index first.
    """
    entries = [
        family_entry(index, **{key: value(index) if callable(value) else value for key, value in overrides.items()})
        for index in range(count)
    ]
    content = {"defaults": dict(defaults or {}), "families": entries}
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    path.write_text(yaml.dump(content, Dumper=dumper, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def problems_of(text: str, plugins_dir: Path | None = None) -> list[str]:
    """Return what is wrong with the text of a registry that stands in `families.yaml`, one line each."""
    try:
        load_text(text, Path("families.yaml"), plugins_dir)
    except FleetError as error:
        return [str(problem) for problem in error.problems]
    return []
