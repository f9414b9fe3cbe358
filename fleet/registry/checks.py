"""Checks across values of the registry. They take merged families, which may be invalid in other ways."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fleet.hermes import threat_patterns
from fleet.hermes.owned_settings import OWNED_CONFIG_KEYS
from fleet.registry.fields import family_id
from fleet.registry.reader import Document, Finding, Location, shown


def normal_id(value: object) -> str | None:
    """Return a UUID in lowercase with dashes, or None for anything else."""
    try:
        return str(family_id(value))
    except ValueError:
        return None


def uniqueness(families: Sequence[Any], document: Document) -> Iterator[Finding]:
    """Find names and ids that more than one family has."""
    yield from _taken(families, document, "name", lambda value: value if isinstance(value, str) else None)
    yield from _taken(families, document, "id", normal_id)


def _taken(
    families: Sequence[Any], document: Document, key: str, normal: Callable[[object], str | None]
) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, raw in enumerate(families):
        value = normal(raw.get(key)) if isinstance(raw, dict) else None
        if value is None:
            continue
        other = first.setdefault(value, index)
        if other != index:
            line = document.place(("families", other, key)).line
            yield Finding(("families", index, key), f"'{value}' is taken by families[{other}] in line {line}")


def owned_config(families: Sequence[Any]) -> Iterator[Finding]:
    """Find settings in a family's `config` that the fleet owns."""
    for index, raw in enumerate(families):
        config = raw.get("config") if isinstance(raw, dict) else None
        if isinstance(config, dict) and config:
            for path in OWNED_CONFIG_KEYS:
                yield from _owned(config, path, ("families", index, "config"))


def _owned(config: Mapping[str, Any], path: str, base: Location) -> Iterator[Finding]:
    *parents, last = path.split(".")
    here: Any = config
    for depth, parent in enumerate(parents, start=1):
        if parent not in here:
            return
        here = here[parent]
        if not isinstance(here, dict):
            what = "would replace a mapping of which the fleet sets a part; give a mapping"
            yield Finding((*base, *parents[:depth]), what, "key")
            return
    if last in here:
        yield Finding((*base, *parents, last), "is set by the fleet and cannot be changed here", "key")


def memory_text(families: Sequence[Any]) -> Iterator[Finding]:
    """Find strings that Hermes would block in the agent's memory because they look like an attack.

    One scan over all strings comes first: it is enough for the usual registry, which has no such string.
    """
    texts = [found for index, raw in enumerate(families) if isinstance(raw, dict) for found in _texts(raw, index)]
    if not threat_patterns.findings("\n".join({threat_patterns.line(text) for _, text in texts})):
        return
    for location, text in texts:
        blocked = threat_patterns.findings(threat_patterns.line(text))
        if blocked:
            what = (
                f"{shown(text)} looks like an attack to Hermes ({', '.join(blocked)}), which would hide it; reword it"
            )
            yield Finding(location, what)


def _texts(raw: Mapping[str, Any], index: int) -> Iterator[tuple[Location, str]]:
    """Yield the strings of a family that go into the identity block, with their locations."""
    base: Location = ("families", index)
    account, members = raw.get("account"), raw.get("members")
    candidates: list[tuple[Location, object]] = [((*base, key), raw.get(key)) for key in ("display_name", "language")]
    if isinstance(account, dict):
        candidates += [((*base, "account", key), account.get(key)) for key in ("email", "phone")]
    for number, member in enumerate(members if isinstance(members, list) else ()):
        if isinstance(member, dict):
            candidates += [((*base, "members", number, key), member.get(key)) for key in ("name", "role")]
    return ((location, text) for location, text in candidates if isinstance(text, str))
