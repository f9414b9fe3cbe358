"""Finds the place for one more family in the text of a registry, and writes the entry there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from fleet.errors import FleetError
from fleet.registry.reader import PARSER, AmbiguousError, plain

_BLANK_LINE = re.compile(r"\n[ \t]*\r?\n")


@dataclass(frozen=True)
class _List:
    """Where the list of families stands: positions in the text, and columns of its own indentation."""

    start: int
    end: int
    in_brackets: bool
    dash_column: int = 2
    key_column: int = 4
    items: tuple[tuple[int, int], ...] = ()


def with_entry(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a good registry with one more family at the end of its list; all else stays as it is."""
    families = _find(text)
    fields = [f"{key}: {_scalar(value)}" for key, value in values.items()]
    if families.in_brackets and families.items:
        after = families.items[-1][1]
        return f"{text[:after]}, {{{', '.join(fields)}}}{text[after:]}"
    if families.in_brackets:
        before, inside = text[: families.start].rstrip(" "), text[families.start + 1 : families.end - 1]
        text = before + inside + text[families.end :]
        at = _line_end(text, len(before + inside))
    else:
        at = _after_comments(text, _line_end(text, families.items[-1][1]), families.dash_column)
    return text[:at] + _entry(text[:at], fields, families, spaced=_spaced(text, families)) + text[at:]


def _entry(before: str, fields: list[str], families: _List, *, spaced: bool) -> str:
    newline = "\r\n" if "\r\n" in before else "\n"
    dash = " " * families.dash_column + "-".ljust(families.key_column - families.dash_column)
    lines = [dash + fields[0], *(" " * families.key_column + field for field in fields[1:])]
    lead = ("" if not before or before.endswith("\n") else newline) + (newline if spaced else "")
    return lead + "".join(line + newline for line in lines)


def _scalar(text: str) -> str:
    """Return a text for YAML, without quotes only where it is plainly a text."""
    try:
        if re.fullmatch(r"[a-z0-9][a-z0-9-]*", text) and isinstance(plain(text), str):
            return text
    except AmbiguousError:
        pass
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def _find(text: str) -> _List:
    bare = text.removeprefix("\ufeff")
    offset = len(text) - len(bare)
    events: Any = yaml.parse(bare, Loader=PARSER)
    families = _value_of("families", events)
    if isinstance(families, yaml.AliasEvent):
        raise FleetError("the families are written through an alias; add the entry where they stand")
    items: list[tuple[int, int]] = []
    column = 0
    item: Any = next(events)
    while not isinstance(item, yaml.SequenceEndEvent):
        column = item.start_mark.column
        items.append(_span(item, _last(events, item), offset))
        item = next(events)
    start, end = _span(families, item, offset)
    if families.flow_style or not items:
        return _List(start, end, in_brackets=True, items=tuple(items))
    return _List(
        start, end, in_brackets=False, dash_column=families.start_mark.column, key_column=column, items=tuple(items)
    )


def _span(first: Any, last: Any, offset: int) -> tuple[int, int]:  # noqa: ANN401 - PyYAML's events are not typed
    return first.start_mark.index + offset, last.end_mark.index + offset


def _value_of(wanted: str, events: Any) -> Any:  # noqa: ANN401 - PyYAML's events are not typed
    """Return the first event of a value of the outermost mapping."""
    for event in events:
        if event.__class__ is yaml.MappingStartEvent:
            break
    for key in events:
        value = next(events)
        if key.value == wanted:
            return value
        _last(events, value)
    raise KeyError(wanted)


def _last(events: Any, first: Any) -> Any:  # noqa: ANN401 - PyYAML's events are not typed
    """Pass over a value and return the event at which its text ends: an indented one ends with its last part."""
    flows: list[bool] = []
    event = last = first
    while True:
        kind = event.__class__
        if kind in {yaml.MappingStartEvent, yaml.SequenceStartEvent}:
            flows.append(event.flow_style)
        elif kind not in {yaml.MappingEndEvent, yaml.SequenceEndEvent} or flows.pop():
            last = event
        if not flows:
            return last
        event = next(events)


def _line_end(text: str, at: int) -> int:
    """Return where the line after a position starts; a block text ends there by itself."""
    if at and text[at - 1] == "\n":
        return at
    newline = text.find("\n", at)
    return len(text) if newline < 0 else newline + 1


def _after_comments(text: str, at: int, dash_column: int) -> int:
    """Return the end of the comments that still belong to a list item that ends at `at`: they are indented deeper."""
    here = end = at
    while here < len(text):
        following = _line_end(text, here + 1)
        line = text[here:following]
        bare = line.strip()
        if bare and (not bare.startswith("#") or len(line) - len(line.lstrip(" ")) <= dash_column):
            break
        here = following
        end = here if bare else end
    return end


def _spaced(text: str, families: _List) -> bool:
    """Tell whether the last two families have an empty line between them."""
    pair = families.items[-2:]
    return len(pair) > 1 and _BLANK_LINE.search(text, pair[0][1] - 1, pair[1][0]) is not None
