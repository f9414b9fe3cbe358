"""The rendered files of every family, made before anything is declared: what cannot be rendered stops a roll."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from fleet.problems import FleetError, Problem
from fleet.registry import Family
from fleet.rendering import config_mask, render_config, render_env, render_identity
from fleet.settings import Settings

FLEET = "/opt/fleet"

_TEMPLATES = Path(__file__).parent.parent / "templates"
_SCRIPTS = ("boot.sh", "health.sh", "probe.py")


@dataclass(frozen=True)
class FamilyFiles:
    """What is rendered for one family. `masked_config` is `config` as a preview may show it."""

    config: str = field(repr=False)
    masked_config: str
    identity: str
    env: str = field(repr=False)


@dataclass(frozen=True)
class Upload:
    """One file written into a container before it starts; `mode` is octal text."""

    file: str
    content: str = field(repr=False)
    mode: str


def render_all(families: Iterable[Family], settings: Settings) -> dict[UUID, FamilyFiles]:
    """Render every family's files. Raises FleetError with the problems of all families, each of them once."""
    rendered: dict[UUID, FamilyFiles] = {}
    problems: dict[Problem, None] = {}
    mask = config_mask(settings)
    for family in families:
        try:
            config = render_config(family, settings)
            rendered[family.id] = FamilyFiles(
                config=config,
                masked_config=mask.apply(config),
                identity=render_identity(family),
                env=render_env(family, settings),
            )
        except FleetError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise FleetError(problems)
    return rendered


def scripts() -> dict[str, str]:
    """Return the scripts that every container gets: name to content."""
    return {name: (_TEMPLATES / name).read_text(encoding="utf-8") for name in _SCRIPTS}


def uploads(files: FamilyFiles, shared: Mapping[str, str]) -> tuple[Upload, ...]:
    """Return the files of a family's container; `shared` is what `scripts()` returned."""
    own = (
        Upload(f"{FLEET}/config.yaml", files.config, "0600"),
        Upload(f"{FLEET}/MEMORY.md", files.identity, "0600"),
        Upload(f"{FLEET}/env", files.env, "0600"),
    )
    return own + tuple(Upload(f"{FLEET}/{name}", content, "0755") for name, content in shared.items())
