"""Adds a family to the registry file: under a lock, all or nothing, with every comment kept."""

import fcntl
import os
import re
import tempfile
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from fleet.errors import FleetError, Problem
from fleet.registry.checks import memory_text
from fleet.registry.loader import Registry, load_text
from fleet.registry.messages import what
from fleet.registry.models import Family
from fleet.registry.placing import with_entry
from fleet.registry.reader import display_path, read_text

_SLUG_LENGTH = 40
# Letters that Unicode does not decompose into a Latin base letter and a mark.
_FOLDS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})


def add_family(path: Path, display_name: str) -> Family:
    """Append a family with a fresh UUID to the registry and return it.

    Raises FleetError if the registry is bad or the name is no name; the file is then as it was.
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
    """Return a free slug that resembles a name: `The Smiths` is `the-smiths`, a second one `the-smiths-2`."""
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
    try:
        Family.model_validate(values)
    except ValidationError as error:
        problems = [Problem("display_name", what(detail, detail["loc"])) for detail in error.errors()]
        raise FleetError(problems) from None
    blocked = [Problem("display_name", finding.what) for finding in memory_text([values])]
    if blocked:
        raise FleetError(blocked)
    return values


def _verified(after: str, registry: Registry, values: dict[str, str], path: Path) -> Family:
    """Return the new family as the changed text holds it, once nothing else in it has changed."""
    try:
        found = load_text(after, path).families
    except FleetError:
        found = ()
    if [_stated(family) for family in found[-1:]] != [values] or found[:-1] != registry.families:
        entry = "".join(f"\n  {key}: {value!r}" for key, value in values.items())
        raise FleetError([Problem(display_path(path), f"has no clear place for an entry; add it by hand:{entry}")])
    return found[-1]


def _stated(family: Family) -> dict[str, str]:
    return {"name": family.name, "id": str(family.id), "display_name": family.display_name}


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold the lock on a file that others may replace meanwhile; yield the file behind a symlink."""
    real = path.resolve()
    while True:
        with real.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_ino == real.stat().st_ino:
                yield real
                return


def _replace(path: Path, text: str) -> None:
    """Put a new text in a file's place at once, with the same owner and mode."""
    old = path.stat()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            if (old.st_uid, old.st_gid) != (os.getuid(), os.getgid()):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), old.st_mode & 0o7777)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
