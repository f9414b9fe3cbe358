"""Reads raw config values one by one and gathers everything that is wrong with them."""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fleet.errors import Problem

NAMESPACE = "hermes-fleet"
SECRET_KEYS = ("llmApiKey", "masterKey", "masterKeyPrevious", "env", "channelEnv")

T = TypeVar("T")

_KINDS: Mapping[type, str] = {str: "a text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True)
class ConfigReader:
    """Raw values by key (text, or JSON for objects) and the problems found so far."""

    values: Mapping[str, str | None]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, key: str, what: str, example: str = "VALUE") -> None:
        """Note a problem with `key` (dots lead into objects); `example` is a value that would do, shell-quoted."""
        top = key.partition(".")[0]
        flags = "".join(flag for flag, wanted in (("--path ", "." in key), ("--secret ", top in SECRET_KEYS)) if wanted)
        mend = f"pulumi config set {flags}'{NAMESPACE}:{key}' {example}".rstrip()
        self.problems.append(Problem(f"{NAMESPACE}:{key}", f"{what}; mend it with: {mend}"))

    def unknown(self, key: str, known: tuple[str, ...]) -> None:
        """Note that an object has a member that nobody reads."""
        top = key.partition(".")[0]
        mend = f"pulumi config rm --path '{NAMESPACE}:{key}'"
        what = f"is not a key of {top} ({', '.join(known)}); mend it with: {mend}"
        self.problems.append(Problem(f"{NAMESPACE}:{key}", what))

    def refuse_plain(self, encrypted: Container[str]) -> None:
        """Note every secret key whose value stands in the stack file in plain text."""
        for key in SECRET_KEYS:
            if (self.values.get(key) or "{}") != "{}" and key not in encrypted:
                self.wrong(key, "is in plain text in the stack file; take it as leaked, and change it", "")

    def text(self, key: str, expected: str, example: str, default: str | None = None) -> str:
        """Return a text; without a default it must be there. A value of blanks counts as missing."""
        value = self.values.get(key)
        if value is not None and value.strip():
            return value
        if default is None:
            self.wrong(key, f"is missing, expected {expected}", example)
            return ""
        return default

    def mapping(self, key: str, known: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return an object, or an empty one where there is none; with `known`, other members are problems."""
        value = self.values.get(key)
        if value is None or not value.strip():
            return {}
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            self.wrong(f"{key}.{known[0] if known else 'NAME'}", f"{key} is not a mapping of names and values")
            return {}
        for name in sorted(parsed.keys() - set(known)) if known else ():
            self.unknown(f"{key}.{name}", known)
        return parsed

    def member(self, path: str, found: object, kind: type[T]) -> T | None:
        """Return one member of an object as `kind`, None where it is absent or wrong.

        `pulumi config set --path` stores numbers and booleans as text at times, so those are read as well.
        """
        if found is None:
            return None
        value = found
        if isinstance(found, str) and kind is not str:
            try:
                value = json.loads(found)
            except ValueError:
                value = found
        if type(value) is kind:
            return value
        self.wrong(path, f"{found!r} is not {_KINDS[kind]}")
        return None

    def positive(self, path: str, found: object, default: int) -> int:
        """Return a whole number above 0."""
        number = self.member(path, found, int)
        if number is not None and number < 1:
            self.wrong(path, f"{number} is not a whole number above 0", str(default))
        return number or default
