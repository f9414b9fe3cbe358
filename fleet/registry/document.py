"""Reads a YAML text into plain values that know where they stand."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

from fleet.errors import FleetError, Problem
from fleet.registry.builder import MAX_DEPTH, Builder, TooDeepError
from fleet.registry.source import Finding, Location, Place, Value, place_of


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
    def _located(self) -> Builder:
        builder = Builder(self.text, locate=True)
        builder.read()
        return builder


def parse(text: str, where: str) -> Document:
    """Read the one YAML document in a text; `where` names its file.

    Raises FleetError for a text that is no YAML. Everything else that is wrong goes to the document's findings.
    """
    try:
        builder = Builder(text.removeprefix("\ufeff"))
        builder.read()
        if builder.findings:
            builder = Builder(builder.text, locate=True)
            builder.read()
        return Document(builder.text, builder.value, builder.findings)
    except TooDeepError as error:
        place = place_of(error.problem_mark)
        what = f"is nested deeper than {MAX_DEPTH} levels"
        raise FleetError([Problem(f"{where}:{place.line}:{place.column}", what)]) from None
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
