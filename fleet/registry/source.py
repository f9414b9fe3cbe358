"""Reads YAML into plain values that know where they stand, and refuses what YAML would silently make of a text.

PyYAML's events are walked directly: composing its nodes first takes four times as long and overflows the C stack on
deeply nested input.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from fleet.problems import FleetError, Problem

Location = tuple[str | int, ...]
Value = dict[str, Any] | list[Any] | str | int | float | bool | None

MAX_DEPTH = 50
MAX_BYTES = 64 * 1024 * 1024
MAX_ALIASED = 1_000_000

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAG = "tag:yaml.org,2002:str"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
# Numbers to YAML 1.2 that YAML 1.1, and so PyYAML, reads as texts.
_YAML_12 = re.compile(r"[-+]?(?:0o[0-7]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)")
_RESOLVE: Callable[..., str] = yaml.SafeLoader("").resolve


class AmbiguousError(ValueError):
    """A plain text that YAML reads as something else."""


@dataclass(frozen=True)
class Place:
    """A line and a column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Finding:
    """Something wrong at a location; `at` says whether its key, its value or the thing around it is shown."""

    location: Location
    what: str
    at: Literal["key", "value", "around"] = "value"
    place: Place | None = None


@dataclass
class Document:
    """What a YAML text holds: plain values, and what was wrong on the YAML level.

    Places are looked up only once something is wrong: the text is then read again with them.
    """

    text: str
    value: Value = None
    findings: list[Finding] = field(default_factory=list)

    def holds(self, location: Location) -> bool:
        """Tell whether there is a value at a location."""
        here: Any = self.value
        for step in location:
            inside = step in here if isinstance(here, dict) else isinstance(here, list) and step in range(len(here))
            if not inside:
                return False
            here = here[step]
        return True

    def place(self, location: Location, at: str = "value") -> Place:
        """Return where a location stands, or the nearest thing around it."""
        key, value = self._located.root, self._located.root
        here: Any = self._located.value
        for step in location:
            marks = self._located.marks.get(id(here), {}).get(step)
            if marks is None:
                return place_of(value)
            key, value = marks
            here = here[step]
        return place_of(key if at == "key" else value)

    @cached_property
    def _located(self) -> "_Builder":
        builder = _Builder(self.text, locate=True)
        builder.read()
        return builder


def place_of(mark: Any) -> Place:  # noqa: ANN401 - PyYAML's Python and C marks share no class
    """Return a mark of PyYAML as people count."""
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def shown(value: object) -> str:
    """Return a value as messages show it: texts quoted and not too long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        whole = repr(value)
        return whole if len(whole) <= 80 else f"{whole[:76]}…{whole[-1]}"  # noqa: PLR2004 - fits a line
    return "nothing" if value is None else "a list" if isinstance(value, list | tuple) else "a mapping"


def display_path(path: Path) -> str:
    """Return a path as the caller gave it, or relative where it lies below the working directory."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        return str(path)


def read_text(path: Path) -> str:
    """Return the text of a file as it is, line ends included. Raises FleetError where there is none to read."""
    where = display_path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        mend = f"start one with: printf 'families: []\\n' > {where}"
        raise FleetError([Problem(where, f"there is no such file; {mend}")]) from None
    except OSError as error:
        raise FleetError([Problem(where, f"cannot be read: {error.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        raise FleetError([Problem(where, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")])
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        at = f"{where}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        raise FleetError([Problem(at, "is not UTF-8; save the file as UTF-8")]) from None


@lru_cache(maxsize=65536)
def plain(text: str) -> str | int | float | bool | None:
    """Return what a text without quotes stands for. Raises AmbiguousError where people and YAML may differ."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    tag = _RESOLVE(yaml.ScalarNode, text, (True, False))
    if tag == _TEXT_TAG and not _YAML_12.fullmatch(text):
        return text
    kind = str(tag).rpartition(":")[2]
    meaning = {"bool": "true or false", "timestamp": "a date", "merge": "a merge", "value": "a default value"}
    raise AmbiguousError(f"YAML may read {text} as {meaning.get(kind, 'a number')}; quote it: '{text}'")


def parse(text: str, where: str) -> Document:
    """Read the one YAML document in a text; `where` names its file.

    Raises FleetError for a text that is no YAML. Everything else that is wrong goes to the document's findings.
    """
    try:
        builder = _Builder(text.removeprefix("\ufeff"))
        builder.read()
        if builder.findings:
            builder = _Builder(builder.text, locate=True)
            builder.read()
        return Document(builder.text, builder.value, builder.findings)
    except yaml.MarkedYAMLError as error:
        raise FleetError([_syntax_problem(error, text, where)]) from None
    except yaml.reader.ReaderError as error:
        line, column = _reader_place(error, text)
        what = f"is not valid YAML: the character U+{_code(error.character):04X} is not allowed; write it escaped"
        raise FleetError([Problem(f"{where}:{line}:{column}", what)]) from None


def _code(character: int | bytes | str) -> int:
    return character if isinstance(character, int) else ord(character)


def _reader_place(error: yaml.reader.ReaderError, text: str) -> tuple[int, int]:
    wanted = chr(_code(error.character))
    index = text.find(wanted)
    before = text[: max(index, 0)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, where: str) -> Problem:
    place = place_of(error.problem_mark or error.context_mark)
    what = error.problem or str(error.context)
    if error.context and error.context_mark:
        what += f" ({error.context} at line {error.context_mark.line + 1})"
    line = text.splitlines()[place.line - 1 : place.line]
    if line and line[0][: place.column].endswith("\t"):
        what += "; indent with spaces, not tabs"
    return Problem(f"{where}:{place.line}:{place.column}", f"is not valid YAML: {what}")


class _Builder:
    """Turns events into values, marks and findings."""

    def __init__(self, text: str, *, locate: bool = False) -> None:
        self.text = text
        self.value: Value = None
        self.root: Any = None
        self.findings: list[Finding] = []
        self.marks: dict[int, dict[str | int, tuple[Any, Any]]] = {}
        self._locate = locate
        self._loader = LOADER(text)
        self._next: Callable[[], Any] = self._loader.get_event
        self._path: list[str | int] = []
        self._anchors: dict[str, tuple[Value, int] | None] = {}
        self._aliased = 0
        self._count = 0

    def read(self) -> None:
        try:
            self._read()
        finally:
            self._loader.dispose()

    def _read(self) -> None:
        documents = 0
        while (event := self._next()) is not None:
            if event.__class__ is not yaml.DocumentStartEvent:
                continue
            documents += 1
            if documents > 1:
                self._note("starts a second YAML document; one file holds one", event.start_mark)
                return
            first = self._next()
            self.root = first.start_mark
            self.value = self._value(first)

    def _note(self, what: str, mark: Any) -> None:  # noqa: ANN401 - see place_of
        self.findings.append(Finding(tuple(self._path), what, place=place_of(mark)))

    def _value(self, event: Any) -> Value:  # noqa: ANN401 - PyYAML's events are not typed
        self._count += 1
        kind = event.__class__
        if kind is yaml.ScalarEvent:
            value: Value = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            return value
        if kind is yaml.AliasEvent:
            return self._alias(event)
        before = self._count
        if event.anchor:
            self._anchors[event.anchor] = None
        if len(self._path) >= MAX_DEPTH:
            self._note(f"is nested deeper than {MAX_DEPTH} levels", event.start_mark)
            self._skip()
            value = None
        else:
            value = self._mapping(event) if kind is yaml.MappingStartEvent else self._sequence(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before + 1)
        return value

    def _skip(self) -> None:
        """Pass over the rest of a list or mapping without recursion."""
        open_collections = 1
        while open_collections:
            kind = self._next().__class__
            if kind in {yaml.MappingStartEvent, yaml.SequenceStartEvent}:
                open_collections += 1
            elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
                open_collections -= 1

    def _scalar(self, event: Any) -> str | int | float | bool | None:  # noqa: ANN401 - see _value
        text: str = event.value
        if event.tag and event.tag not in {"!", _TEXT_TAG}:
            self._note(f"has the tag {event.tag}; tags are not read here", event.start_mark)
            return text
        if not event.implicit[0]:
            return text
        try:
            return plain(text)
        except AmbiguousError as ambiguous:
            self._note(str(ambiguous), event.start_mark)
            return text

    def _alias(self, event: Any) -> Value:  # noqa: ANN401 - see _value
        if event.anchor not in self._anchors:
            self._note(f"*{event.anchor} has no anchor &{event.anchor} before it", event.start_mark)
            return None
        anchored = self._anchors[event.anchor]
        if anchored is None:
            self._note(f"*{event.anchor} stands inside its own anchor", event.start_mark)
            return None
        value, size = anchored
        self._aliased += size
        self._count += size
        if self._aliased > MAX_ALIASED:
            if self._aliased - size <= MAX_ALIASED:
                self._note(f"with *{event.anchor} the aliases stand for over {MAX_ALIASED} values", event.start_mark)
            return None
        return value

    def _mapping(self, event: Any) -> dict[str, Any]:  # noqa: ANN401 - see _value
        if not event.implicit:
            self._note(f"has the tag {event.tag}; tags are not read here", event.start_mark)
        found: dict[str, Any] = {}
        marks: dict[str | int, tuple[Any, Any]] = {}
        following, path, locate = self._next, self._path, self._locate
        key_event = following()
        while key_event.__class__ is not yaml.MappingEndEvent:
            key = self._key(key_event)
            path.append(key)
            value_event = following()
            if key in found:
                first = f", first in line {marks[key][0].line + 1}" if locate else ""
                self._note(f"this key is here twice{first}", key_event.start_mark)
                self._value(value_event)
            else:
                found[key] = self._value(value_event)
                if locate:
                    marks[key] = (key_event.start_mark, value_event.start_mark)
            path.pop()
            key_event = following()
        if locate:
            self.marks[id(found)] = marks
        return found

    def _key(self, event: Any) -> str:  # noqa: ANN401 - see _value
        line = event.start_mark.line + 1
        if event.__class__ is not yaml.ScalarEvent:
            self._note("a key must be a text", event.start_mark)
            if event.__class__ is not yaml.AliasEvent:
                self._skip()
            return f"<key of line {line}>"
        text: str = event.value
        self._path.append(text)
        if text == "<<" and event.implicit[0]:
            self._note("merge keys are not read here; put what families share under defaults", event.start_mark)
        elif not isinstance(value := self._scalar(event), str):
            self._note(f"YAML reads this key as {shown(value)}; quote it: '{text}'", event.start_mark)
        self._path.pop()
        return text

    def _sequence(self, event: Any) -> list[Any]:  # noqa: ANN401 - see _value
        if not event.implicit:
            self._note(f"has the tag {event.tag}; tags are not read here", event.start_mark)
        found: list[Any] = []
        marks: dict[str | int, tuple[Any, Any]] = {}
        following, path, locate = self._next, self._path, self._locate
        item = following()
        while item.__class__ is not yaml.SequenceEndEvent:
            path.append(len(found))
            if locate:
                marks[len(found)] = (item.start_mark, item.start_mark)
            found.append(self._value(item))
            path.pop()
            item = following()
        if locate:
            self.marks[id(found)] = marks
        return found
