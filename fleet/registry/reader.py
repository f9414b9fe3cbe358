"""Reads YAML files: plain values, the places where they stand, and what is wrong with them.

Tags, merge keys and scalars that YAML readers disagree about are findings: nothing is guessed.
"""

import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from yaml.nodes import ScalarNode

from fleet.errors import FleetError, Problem

Location = tuple[str | int, ...]
At = Literal["key", "value", "around"]
Value = dict[str, Any] | list[Any] | str | int | float | bool | None
# PyYAML has no types for its events, and no common one for the marks of its C and Python parsers.
Event = Any
Mark = Any

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 50
MAX_ALIASED = 1_000_000
# PyYAML's parser, in C where libyaml is there.
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STRING = "tag:yaml.org,2002:str"
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
# Numbers in YAML 1.2 that are strings in YAML 1.1, and so to PyYAML.
_YAML_12_NUMBER = re.compile(r"[-+]?(?:0o[0-7]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)")
_RESOLVE: Callable[..., str] = yaml.SafeLoader("").resolve


class AmbiguousError(ValueError):
    """A scalar without quotes that YAML readers disagree about."""


class Place(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Finding:
    """Something wrong at a location; `at` says whether its key, its value or the thing around it is shown."""

    location: Location
    what: str
    at: At = "value"
    place: Place | None = None


class Document:
    """The value of a YAML text, and what is wrong with it as YAML.

    The value is built from the events of PyYAML's parser: its composer rejects an anchor that is used twice, knows no
    limit of depth, and says nothing of the tags that a YAML text has.
    """

    def __init__(self, text: str) -> None:
        """Read YAML. Raises yaml.YAMLError where it is not valid YAML."""
        self.value: Any = None
        self.findings: list[Finding] = []
        self._next = PARSER(text).get_event
        self._path: list[str | int] = []
        self._marks: dict[Location, tuple[Mark, Mark]] = {}  # of each key and its value
        self._aliases: dict[Location, Location] = {}  # where the anchor of each alias stands
        self._anchors: dict[str | None, tuple[Value, int, Location] | None] = {}
        self._count = 0
        self._aliased = 0
        while (event := self._next()) is not None:
            if event.__class__ is DocumentStartEvent:
                if self._marks:
                    self._note("starts a second YAML document; one file holds one", event)
                    return
                first = self._next()
                self._marks[()] = first.start_mark, first.start_mark
                self.value = self._value(first)

    def holds(self, location: Location) -> bool:
        """Tell whether there is a value at a location."""
        return self._resolved(location) in self._marks

    def place(self, location: Location, at: str = "value") -> Place:
        """Return where a location stands, or the nearest thing around it."""
        near = exact = self._resolved(location)
        while near and near not in self._marks:
            near = near[:-1]
        key, value = self._marks.get(near, (None, None))
        return _place(key if at == "key" and near == exact else value)

    def _resolved(self, location: Location) -> Location:
        """Return a location without aliases: what is below an alias stands below its anchor."""
        for end in range(1, len(location)):
            if location[:end] in self._aliases:
                return self._resolved(self._aliases[location[:end]] + location[end:])
        return location

    def _note(self, what: str, event: Event, *key: str) -> None:
        self.findings.append(Finding((*self._path, *key), what, place=_place(event.start_mark)))

    def _value(self, event: Event) -> Value:
        kind, before = event.__class__, self._count
        if kind is AliasEvent:
            return self._alias(event)
        self._count += 1
        self._anchors[event.anchor] = None
        value = self._scalar(event) if kind is ScalarEvent else self._collection(event)
        self._anchors[event.anchor] = value, self._count - before, tuple(self._path)
        return value

    def _below(self, step: str | int, key: Event, event: Event) -> Value:
        """Read the value at a step below the current path."""
        self._path.append(step)
        self._marks[*self._path] = key.start_mark, event.start_mark
        value = self._value(event)
        self._path.pop()
        return value

    def _discard(self, event: Event) -> None:
        """Read a value for the anchors in it, at a step that no location has; its findings do not count."""
        told = len(self.findings)
        self._below(-1, event, event)
        del self.findings[told:]

    def _scalar(self, event: Event, *key: str) -> str | int | float | bool | None:
        text: str = event.value
        if event.tag and event.tag not in {"!", _STRING}:
            self._note(f"has the tag {event.tag}; tags are not read here", event, *key)
        elif event.implicit[0]:
            try:
                return plain(text)
            except AmbiguousError as ambiguous:
                self._note(str(ambiguous), event, *key)
        return text

    def _alias(self, event: Event) -> Value:
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            inside = event.anchor in self._anchors
            why = "stands inside its own anchor" if inside else f"has no anchor &{event.anchor} before it"
            self._note(f"*{event.anchor} {why}", event)
            return None
        value, size, self._aliases[*self._path] = anchored
        self._aliased += size
        self._count += size
        if self._aliased > MAX_ALIASED:
            what = f"with *{event.anchor} the aliases stand for over {MAX_ALIASED} values"
            raise yaml.MarkedYAMLError(note=what, problem_mark=event.start_mark)
        return value

    def _collection(self, event: Event) -> Value:
        if len(self._path) >= MAX_DEPTH:
            # libyaml's time grows with the square of the depth.
            raise yaml.MarkedYAMLError(note=f"is nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        if not event.implicit:
            self._note(f"has the tag {event.tag}; tags are not read here", event)
        return self._mapping() if event.__class__ is MappingStartEvent else self._sequence()

    def _mapping(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (key_event := self._next()).__class__ is not MappingEndEvent:
            key = self._key(key_event)
            event = self._next()
            if key is None:
                self._below("?", key_event, event)
            elif key in found:
                first, _ = self._marks[*self._path, key]
                self._note(f"this key is here twice, first in line {first.line + 1}", key_event, key)
                self._discard(event)
            else:
                found[key] = self._below(key, key_event, event)
        return found

    def _key(self, event: Event) -> str | None:
        if event.__class__ is not ScalarEvent:
            self._note("a key must be a string", event)
            self._discard(event)
            return None
        text: str = event.value
        if text == "<<" and event.implicit[0]:
            self._note("merge keys are not read here; put what families share under defaults", event, text)
        elif not isinstance(value := self._scalar(event, text), str):
            self._note(f"YAML reads this key as {shown(value)}; quote it: '{text}'", event, text)
        return text

    def _sequence(self) -> list[Any]:
        found: list[Any] = []
        while (event := self._next()).__class__ is not SequenceEndEvent:
            found.append(self._below(len(found), event, event))
        return found


@lru_cache(maxsize=65536)
def plain(text: str) -> str | int | float | bool | None:
    """Return what a scalar without quotes stands for. Raises AmbiguousError where YAML readers disagree."""
    tag = _RESOLVE(ScalarNode, text, (True, False))
    kind = tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if tag == _STRING and not _YAML_12_NUMBER.fullmatch(text):
        return text
    meaning = {"bool": "true or false", "timestamp": "a date", "merge": "a merge", "value": "a default value"}
    raise AmbiguousError(f"YAML may read {text} as {meaning.get(kind, 'a number')}; quote it: '{text}'")


def parse(text: str, where: str) -> Document:
    """Read the one YAML document in a string; `where` names its file.

    Raises FleetError where the text is not valid YAML. Everything else that is wrong is in the document's findings.
    """
    text = text.removeprefix("\ufeff")
    try:
        return Document(text)
    except yaml.MarkedYAMLError as error:
        place, what = _syntax_error(error, text)
    except yaml.reader.ReaderError as error:
        character = chr(error.character) if isinstance(error.character, int) else str(error.character)
        place = _place_at(text, max(text.find(character), 0))
        what = f"is not valid YAML: the character U+{ord(character):04X} is not allowed; write it escaped"
    raise FleetError([Problem(f"{where}:{place.line}:{place.column}", what)])


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> tuple[Place, str]:
    place = _place(error.problem_mark or error.context_mark)
    what: str = error.note or f"is not valid YAML: {error.problem or error.context}"
    if error.context and error.context_mark:
        what += f" ({error.context} at line {error.context_mark.line + 1})"
    line = text.splitlines()[place.line - 1 : place.line]
    if line and line[0][: place.column].endswith("\t"):
        what += "; indent with spaces, not tabs"
    return place, what


def _place(mark: Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _place_at(text: str, index: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def shown(value: object) -> str:
    """Return a value as messages show it: strings quoted and not too long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        whole = repr(value)
        return whole if len(whole) <= 80 else f"{whole[:76]}…{whole[-1]}"  # noqa: PLR2004 - fits a line
    return "nothing" if value is None else "a list" if isinstance(value, list | tuple) else "a mapping"


def display_path(path: Path) -> str:
    """Return a path as the caller gave it, or relative where it lies below the working directory."""
    with suppress(ValueError, FileNotFoundError):
        return str(path.absolute().relative_to(Path.cwd()))
    return str(path)


def read_text(path: Path) -> str:
    """Return the text of a file as it is, line ends included. Raises FleetError where there is none to read."""
    where = display_path(path)
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise FleetError([Problem(where, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")])
        return raw.decode()
    except FileNotFoundError:
        what = f"there is no such file; fix: printf 'families: []\\n' > {shlex.quote(where)}"
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        place = _place_at(before, len(before))
        where, what = f"{where}:{place.line}:{place.column}", "is not UTF-8; save the file as UTF-8"
    raise FleetError([Problem(where, what)])
