"""Adds a family to the registry file: under a lock, atomically, without a change to anything else in it."""

import fcntl
import os
import re
import tempfile
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import yaml

from fleet.errors import FleetError, Problem
from fleet.registry.loader import Registry, load_text
from fleet.registry.messages import validated, what
from fleet.registry.models import Family
from fleet.registry.reader import AmbiguousError, display_path, parse, plain, read_text

_SLUG_LENGTH = 40
_EMPTY_LIST = re.compile(r"^(\ufeff?families:) *\[ *\]([^\n]*\n?)", re.MULTILINE)
# Letters that Unicode does not decompose into a Latin base letter and a mark.
_FOLDS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})


def add_family(path: Path, display_name: str) -> Family:
    """Append a family with a fresh UUID to the registry and return it.

    Raises FleetError where the registry or the name is invalid, the file cannot be written, or its list of families is
    not in block style at its end: the error then has the entry to add. The file is then as it was.
    """
    read_text(path)
    try:
        with _locked(path) as real:
            before = read_text(path)
            registry = load_text(before, path)
            values = _new_family(registry, display_name)
            after = with_entry(before, values)
            family = _verified(after, registry, values, path)
            _replace(real, after)
    except OSError as error:
        raise FleetError([Problem(display_path(path), f"cannot be written: {error.strerror}")]) from None
    return family


def slug_for(display_name: str, taken: Collection[str]) -> str:
    """Return a free slug that resembles a name: `the-smiths` for `The Smiths`, `the-smiths-2` for the second."""
    folded = unicodedata.normalize("NFKD", display_name.lower().translate(_FOLDS))
    spelled = re.sub("['\N{RIGHT SINGLE QUOTATION MARK}]", "", folded).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "-", spelled).strip("-")[:_SLUG_LENGTH].strip("-") or "family"
    slug, number = stem, 1
    while slug in taken:
        number += 1
        slug = f"{stem[: _SLUG_LENGTH - len(str(number)) - 1].rstrip('-')}-{number}"
    return slug


def _new_family(registry: Registry, display_name: str) -> dict[str, str]:
    slug = slug_for(display_name, {family.name for family in registry.families})
    values = {"name": slug, "id": str(uuid4()), "display_name": display_name}
    validated(Family, values, lambda error: Problem("display_name", what(error, error["loc"])))
    return values


def with_entry(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a registry with an entry at its end, or behind `families: []`.

    A list that is not in block style gets none. Whether the entry is a family there is for the caller to verify.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    if empty := _EMPTY_LIST.search(text):
        before = text[: empty.start()] + empty[1] + empty[2]
        return _line_ended(before, newline) + _entry(values, newline=newline) + text[empty.end() :]
    document, lines = parse(text, ""), text.splitlines()
    dash = document.place(("families",))
    if lines[dash.line - 1][dash.column - 1] != "-":
        return text
    count = len(document.value["families"])
    last = document.place(("families", count - 1))
    above = [line.strip() for line in lines[: last.line - 1] if not line.lstrip().startswith("#")]
    blank = newline if count > 1 and not above[-1] else ""
    return _line_ended(text, newline) + blank + _entry(values, dash.column - 1, last.column - 1, newline)


def _line_ended(text: str, newline: str) -> str:
    return text if text.endswith("\n") else text + newline


def _entry(values: Mapping[str, str], dash_column: int = 2, key_column: int = 4, newline: str = "\n") -> str:
    keys = [f"{' ' * key_column}{key}: {_scalar(value)}{newline}" for key, value in values.items()]
    return " " * dash_column + "-" + "".join(keys)[dash_column + 1 :]


def _scalar(text: str) -> str:
    """Return a string as YAML, without quotes only where every reader takes it for a string."""
    with suppress(AmbiguousError):
        if re.fullmatch(r"[a-z0-9][a-z0-9-]*", text) and isinstance(plain(text), str):
            return text
    quoted: str = yaml.dump(text, Dumper=yaml.SafeDumper, default_style='"', allow_unicode=True, width=10_000)
    return quoted.rstrip("\n")


def _verified(after: str, registry: Registry, values: dict[str, str], path: Path) -> Family:
    """Return the new family as the changed text holds it, once nothing else in it has changed."""
    found: tuple[Family, ...] = ()
    with suppress(FleetError):
        found = load_text(after, path).families
    added = [family.model_dump(mode="json", include=set(values)) for family in found[-1:]]
    if added != [values] or found[:-1] != registry.families:
        what = f"the list of families is not in block style at the end of the file; fix: add there\n{_entry(values)}"
        raise FleetError([Problem(display_path(path), what.rstrip())])
    return found[-1]


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold the lock on a file; yield the file behind a symlink. Another process may replace it before it is locked."""
    real = path.resolve()
    while True:
        with real.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_ino == real.stat().st_ino:
                yield real
                return


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically by one with another text, the same owner and the same mode."""
    old = path.stat()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), old.st_mode & 0o7777)
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
