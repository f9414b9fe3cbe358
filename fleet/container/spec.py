"""The way from a family and the stack's config to everything that declares its container."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fleet.container.credentials import redaction_for
from fleet.container.files import Upload
from fleet.container.inputs import component_inputs, container_inputs
from fleet.container.rendering import render_config, render_env, render_identity
from fleet.errors import FleetError, Problem
from fleet.naming import FLEET
from fleet.redaction import Redaction
from fleet.registry import Family
from fleet.settings import Settings


@dataclass(frozen=True)
class ContainerSpec:
    """Everything that declares a family's container.

    `shown` holds the inputs of the family's component: what reaches the container, with secrets redacted. `config`,
    `identity` and `env` are the contents of the family's own files.
    """

    family: Family
    settings: Settings
    shown: Mapping[str, Any]
    config: str = field(repr=False)
    identity: str
    env: str = field(repr=False)

    def inputs(self, *, start: bool) -> dict[str, Any]:
        """Return the inputs of `docker.Container`; `start`: it is started and must turn healthy.

        Uploads, volumes and network are not among them: they are secret or another resource's output.
        """
        return container_inputs(self.family, self.settings, start=start)

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Return the family's own files, all secret. The scripts that families share are `files.scripts`."""
        return (
            Upload(f"{FLEET}/config.yaml", self.config),
            Upload(f"{FLEET}/MEMORY.md", self.identity),
            Upload(f"{FLEET}/env", self.env),
        )


def spec_for(family: Family, settings: Settings, redaction: Redaction | None = None) -> ContainerSpec:
    """Return what declares a family's container. Raises FleetError where its files cannot be rendered.

    `redaction` is that of the settings, for callers that have it already: it is slow to make.
    """
    config, identity = render_config(family, settings), render_identity(family)
    shown = (redaction or redaction_for(settings)).apply(config)
    return ContainerSpec(
        family=family,
        settings=settings,
        shown=component_inputs(family, settings, config=shown, identity=identity),
        config=config,
        identity=identity,
        env=render_env(family, settings),
    )


def render_all(families: Iterable[Family], settings: Settings) -> dict[UUID, ContainerSpec]:
    """Return every family's spec by its id. Raises FleetError with the problems of all families, each of them once."""
    specs: dict[UUID, ContainerSpec] = {}
    problems: dict[Problem, None] = {}
    redaction = redaction_for(settings)
    for family in families:
        try:
            specs[family.id] = spec_for(family, settings, redaction)
        except FleetError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise FleetError(problems)
    return specs
