"""Loads the registry: reads the file, merges the defaults, validates, and reports all problems at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fleet.errors import FleetError, Problem
from fleet.hermes.owned_settings import OWNED_CONFIG_KEYS
from fleet.registry import plugins
from fleet.registry.fields import family_id
from fleet.registry.messages import path_text, what
from fleet.registry.models import Family, RegistryFile
from fleet.registry.reader import At, Document, Finding, Location, display_path, parse, read_text, shown

_SHOWN_AT: Mapping[str, At] = {"extra_forbidden": "key", "missing": "around"}


@dataclass(frozen=True)
class Registry:
    """All families of a fleet, in the order of the file."""

    families: tuple[Family, ...]
    path: Path

    @cached_property
    def _by_key(self) -> Mapping[str, Family]:
        by_id = {str(family.id): family for family in self.families}
        return by_id | {family.name: family for family in self.families}

    def get(self, slug_or_uuid: str) -> Family:
        """Return a family by its slug or its UUID, in any usual form. Raises KeyError where there is none."""
        found = self._by_key.get(slug_or_uuid) or self._by_key.get(_normal_id(slug_or_uuid) or "")
        if found is None:
            raise KeyError(slug_or_uuid)
        return found


def load_registry(path: Path, plugins_dir: Path | None = None) -> Registry:
    """Load and validate a registry. Raises FleetError with all problems, in the order of the file.

    With `plugins_dir`, the directory must exist, be safe to mount, and have a plugin for each enabled channel.
    """
    return load_text(read_text(path), path, plugins_dir)


def load_text(text: str, path: Path, plugins_dir: Path | None = None) -> Registry:
    """Load a registry from the text of the file at `path`, as `load_registry` does."""
    where = display_path(path)
    document = parse(text, where)
    merged = merged_families(document.value)
    families: list[Family] = []
    findings = [*document.findings, *_shared(document)]
    for index, raw in enumerate(merged):
        try:
            families.append(Family.model_validate(raw))
        except ValidationError as error:
            findings += (f for f in _translated(error, ("families", index)) if not _inherited(document, f))
    findings += _unique(merged, document)
    findings += _owned_config(merged)
    mount = plugins.mount_problems(plugins_dir) if plugins_dir else []
    if plugins_dir and not mount:
        findings += plugins.missing(merged, plugins_dir)
    problems = [*_sorted_problems(document, findings, where), *mount]
    if problems:
        raise FleetError(problems)
    return Registry(tuple(families), path)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `above` merged over `below`: mappings key by key, anything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = merge(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return merged


def merged_families(value: object) -> list[Any]:
    """Return the families of a registry with the defaults merged under each, not validated."""
    if not isinstance(value, dict) or not isinstance(families := value.get("families"), list):
        return []
    defaults = value.get("defaults")
    below = defaults if isinstance(defaults, dict) else {}
    return [merge(below, raw) if isinstance(raw, dict) else raw for raw in families]


def _shared(document: Document) -> Iterator[Finding]:
    """Find what is wrong outside of the families. A key that each family can add is not missing in the defaults."""
    value = document.value
    if not isinstance(value, dict):
        found = "is empty" if value is None else f"holds {shown(value)}"
        yield Finding((), f"the registry {found}, expected a mapping of defaults and families")
        return
    families = value.get("families", [])
    try:
        RegistryFile.model_validate({**value, "families": []} if "families" in value else value)
    except ValidationError as error:
        for finding in _translated(error, ()):
            in_list = any(isinstance(step, int) for step in finding.location)
            if in_list or finding.at != "around" or finding.location == ("families",):
                yield finding
    if not isinstance(families, list):
        hint = "is empty" if families is None else f"{shown(families)} is not a list"
        yield Finding(("families",), f"{hint}; write families: [] for none")


def _translated(error: ValidationError, base: Location) -> Iterator[Finding]:
    for detail in error.errors(include_url=False):
        location: Location = (*base, *detail["loc"])
        at = _SHOWN_AT.get(detail["type"], "value")
        if at == "value" and location[-1:] == ("[key]",):  # pydantic's step for the key itself
            location, at = location[:-1], "key"
        if detail["type"] != "default_factory_not_called":
            yield Finding(location, what(detail, location), at)


def _normal_id(value: object) -> str | None:
    """Return a UUID in lowercase with dashes, or None for anything else."""
    with suppress(ValueError):
        return str(family_id(value))
    return None


def _unique(families: Sequence[Any], document: Document) -> Iterator[Finding]:
    """Find names and ids that more than one family has."""
    first: dict[tuple[str, object], int] = {}
    for index, raw in enumerate(families):
        values = {"name": raw.get("name"), "id": _normal_id(raw.get("id"))} if isinstance(raw, dict) else {}
        for key, value in values.items():
            if isinstance(value, str) and (other := first.setdefault((key, value), index)) != index:
                line = document.place(("families", other, key)).line
                yield Finding(("families", index, key), f"'{value}' is taken by families[{other}] in line {line}")


def _owned_config(families: Sequence[Any]) -> Iterator[Finding]:
    """Find settings in a family's `config` that the fleet owns."""
    for index, raw in enumerate(families):
        config = raw.get("config") if isinstance(raw, dict) else None
        if isinstance(config, dict) and config:
            for key in OWNED_CONFIG_KEYS:
                yield from _owned(config, key.split("."), ("families", index, "config"))


def _owned(value: object, owned: Sequence[str], location: Location) -> Iterator[Finding]:
    """Find an owned key below a value, or something else than the mapping in which the fleet sets it."""
    if not owned:
        yield Finding(location, "is set by the fleet and cannot be changed here", "key")
    elif not isinstance(value, dict):
        yield Finding(location, "would replace a mapping of which the fleet sets a part; give a mapping", "key")
    elif owned[0] in value:
        yield from _owned(value[owned[0]], owned[1:], (*location, owned[0]))


def _sorted_problems(document: Document, findings: Iterable[Finding], where: str) -> list[Problem]:
    """Return the findings as problems, in file order, without those that follow from one in the YAML."""
    flagged = {finding.location for finding in document.findings}
    placed: dict[tuple[int, int, str, str], Problem] = {}
    for finding in findings:
        location = _inherited(document, finding) or finding.location
        if finding.place is None and location in flagged:
            continue
        place = finding.place or document.place(location, finding.at)
        name = path_text(location, _name_at(document, location))
        problem = Problem(f"{where}:{place.line}:{place.column}" + (f": {name}" if name else ""), finding.what)
        placed[*place, name, finding.what] = problem
    return [placed[key] for key in sorted(placed)]


def _inherited(document: Document, finding: Finding) -> Location | None:
    """Return the location in the defaults of a finding that a family has inherited, else None."""
    location, is_missing = finding.location, finding.at == "around"
    held = location[:-1] if is_missing else location
    # A missing key is the defaults' mistake only inside a list of theirs: lists are inherited whole.
    in_list = any(isinstance(step, int) for step in location[2:])
    if location[:1] != ("families",) or document.holds(held) or (is_missing and not in_list):
        return None
    return ("defaults", *location[2:]) if document.holds(("defaults", *held[2:])) else None


def _name_at(document: Document, location: Location) -> object:
    """Return the name of the family at a location, or None."""
    if len(location) == 1 or location[:1] != ("families",) or not document.holds((*location[:2], "name")):
        return None
    return document.value["families"][location[1]]["name"]
