"""The rendered files of every family, made before anything is declared: what cannot be rendered stops a roll."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from fleet.container.rendering import redaction_for, render_config, render_env, render_identity
from fleet.errors import FleetError, Problem
from fleet.naming import FLEET
from fleet.registry import Family
from fleet.settings import Settings

_TEMPLATES = Path(__file__).parent.parent.parent / "templates"
_SCRIPTS = ("boot.sh", "health.sh", "probe.py")


@dataclass(frozen=True)
class FamilyFiles:
    """What is rendered for one family. `masked_config` is `config` as a preview may show it."""

    config: str = field(repr=False)
    redacted_config: str
    identity: str
    env: str = field(repr=False)


@dataclass(frozen=True)
class Upload:
    """One file of a family's own that is written into its container before it starts; `mode` is octal text."""

    file: str
    content: str = field(repr=False)
    mode: str


@dataclass(frozen=True)
class Script:
    """A script that every container gets. `source` is its path from where Pulumi runs, `digest` its SHA-256 in hex.

    The provider reads it when it makes a container, and the state holds path and digest: as a content it would be
    there twice for each family, encrypted anew with every step of an `up`.
    """

    file: str
    source: str
    digest: str
    mode: str = "0755"


def render_all(families: Iterable[Family], settings: Settings) -> dict[UUID, FamilyFiles]:
    """Render every family's files. Raises FleetError with the problems of all families, each of them once."""
    rendered: dict[UUID, FamilyFiles] = {}
    problems: dict[Problem, None] = {}
    mask = redaction_for(settings)
    for family in families:
        try:
            config = render_config(family, settings)
            rendered[family.id] = FamilyFiles(
                config=config,
                redacted_config=mask.apply(config),
                identity=render_identity(family),
                env=render_env(family, settings),
            )
        except FleetError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise FleetError(problems)
    return rendered


def scripts() -> tuple[Script, ...]:
    """Return the scripts that every container gets."""
    paths = [_TEMPLATES / name for name in _SCRIPTS]
    return tuple(
        Script(f"{FLEET}/{path.name}", os.path.relpath(path), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
    )


def uploads(files: FamilyFiles) -> tuple[Upload, ...]:
    """Return the files of a family's own."""
    return (
        Upload(f"{FLEET}/config.yaml", files.config, "0600"),
        Upload(f"{FLEET}/MEMORY.md", files.identity, "0600"),
        Upload(f"{FLEET}/env", files.env, "0600"),
    )
