"""Walks the events of a YAML parser and builds plain values from them, with what is wrong and where all stands.

Composing PyYAML's nodes first would take four times as long, and overflow the C stack on deeply nested input.
"""

from typing import Any

import yaml

from fleet.registry.scalars import TEXT_TAG, AmbiguousError, plain
from fleet.registry.source import Finding, Value, place_of, shown

MAX_DEPTH = 50
MAX_ALIASED = 1_000_000

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TooDeepError(yaml.MarkedYAMLError):
    """A text is nested so deeply that reading on would only cost time: libyaml takes its square."""


class Builder:
    """Turns the events of a text into a value and findings; with `locate`, also into marks.

    `marks` holds, by the `id` of each list and mapping in `value`, the places of its keys and values.
    """

    def __init__(self, text: str, *, locate: bool = False) -> None:
        """Prepare to read a text."""
        self.text = text
        self.value: Value = None
        self.root: Any = None
        self.findings: list[Finding] = []
        self.marks: dict[int, dict[str | int, tuple[Any, Any]]] = {}
        self._locate = locate
        self._loader = LOADER(text)
        self._next = self._loader.get_event
        self._path: list[str | int] = []
        self._anchors: dict[str, tuple[Value, int] | None] = {}
        self._aliased = 0
        self._count = 0

    def read(self) -> None:
        """Read the text. Raises yaml.YAMLError for what is no YAML."""
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
            raise TooDeepError(problem_mark=event.start_mark)
        value = self._mapping(event) if kind is yaml.MappingStartEvent else self._sequence(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before + 1)
        return value

    def _discard(self, event: Any) -> None:  # noqa: ANN401 - see _value
        """Read a value for its anchors alone: its places are taken by the value that counts."""
        told = len(self.findings)
        self._value(event)
        del self.findings[told:]

    def _skip(self) -> None:
        """Pass over the rest of a list or mapping."""
        depth = 1
        while depth:
            event = self._next()
            kind = event.__class__
            if kind in {yaml.MappingStartEvent, yaml.SequenceStartEvent}:
                depth += 1
            elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
                depth -= 1
            if depth > MAX_DEPTH:
                raise TooDeepError(problem_mark=event.start_mark)

    def _scalar(self, event: Any) -> str | int | float | bool | None:  # noqa: ANN401 - see _value
        text: str = event.value
        if event.tag and event.tag not in {"!", TEXT_TAG}:
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
            value_event = following()
            if key is None:
                path.append("?")
                self._value(value_event)
                path.pop()
                key_event = following()
                continue
            path.append(key)
            if key in found:
                first = f", first in line {marks[key][0].line + 1}" if locate else ""
                self._note(f"this key is here twice{first}", key_event.start_mark)
                self._discard(value_event)
            else:
                found[key] = self._value(value_event)
                if locate:
                    marks[key] = (key_event.start_mark, value_event.start_mark)
            path.pop()
            key_event = following()
        if locate:
            self.marks[id(found)] = marks
        return found

    def _key(self, event: Any) -> str | None:  # noqa: ANN401 - see _value
        if event.__class__ is not yaml.ScalarEvent:
            self._note("a key must be a text", event.start_mark)
            if event.__class__ is not yaml.AliasEvent:
                self._skip()
            return None
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
