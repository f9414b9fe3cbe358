"""The files that are written into a container before it starts."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from fleet.naming import FLEET

_TEMPLATES = Path(__file__).parent.parent.parent / "templates"
_SCRIPTS = ("boot.sh", "health.sh", "probe.py")


@dataclass(frozen=True)
class Upload:
    """One of a family's own files; `mode` is octal."""

    file: str
    content: str = field(repr=False)
    mode: str = "0600"


@dataclass(frozen=True)
class Script:
    """A script that all containers share. `source` is its path from the working directory, `digest` its SHA-256 in hex.

    The provider reads it when it creates a container, and the state holds path and digest. The content itself would be
    in the state twice for each family, and encrypted again at every step of an `up`. Yet that is given in place of both
    where the script is installed elsewhere: a path that another machine does not have would replace every container.
    """

    file: str
    source: str | None = None
    digest: str | None = None
    content: str | None = None
    mode: str = "0755"


def scripts() -> tuple[Script, ...]:
    """Return the scripts that all containers share."""
    return tuple(_script(_TEMPLATES / name) for name in _SCRIPTS)


def _script(path: Path) -> Script:
    file, content = f"{FLEET}/{path.name}", path.read_bytes()
    if path.is_relative_to(Path.cwd()) and "site-packages" not in path.parts:
        return Script(file, os.path.relpath(path), hashlib.sha256(content).hexdigest())
    return Script(file, content=content.decode())
