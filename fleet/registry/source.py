"""Where things stand in the registry file, what is wrong there, and how messages show both."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fleet.errors import FleetError, Problem

Location = tuple[str | int, ...]
Value = dict[str, Any] | list[Any] | str | int | float | bool | None

MAX_BYTES = 64 * 1024 * 1024


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
        mend = f"start one with: printf 'families: []\\n' > {shlex.quote(where)}"
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
