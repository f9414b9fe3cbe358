"""Families, settings and hosts for unit tests, without files or daemons."""

from copy import copy
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from fleet import naming
from fleet.host import ContainerSummary, Inventory
from fleet.registry import Family
from fleet.settings import Llm, Settings

STACK = "test-unit"
Part = TypeVar("Part", Settings, Llm)


def make_family(name: str, **values: Any) -> Family:
    """Return a family as the registry yields it."""
    return Family.model_validate({"name": name, "id": str(uuid4()), **values})


def make_settings(**values: Any) -> Settings:
    """Return the settings of a minimal stack. `values` are not validated: some tests go past the config's checks."""
    minimal = Settings(
        stack=STACK,
        image="hermes:1",
        hermes_line="0.19",
        llm=Llm("openrouter", "model"),
        llm_api_key="sk-unit-test-key",
        master_key="m" * 32,
        registry=Path("families.yaml"),
        plugins_dir="/srv/plugins",
    )
    return unvalidated(minimal, **values)


def unvalidated(part: Part, **values: Any) -> Part:
    """Return a copy of settings, or of a part of them, with values that are not validated."""
    made = copy(part)
    for name, value in values.items():
        assert hasattr(made, name), name
        object.__setattr__(made, name, value)
    return made


def make_seen(family: Family, state: str = "running", **values: Any) -> ContainerSummary:
    """Return a container of this stack as a host lists it."""
    labels = naming.family_labels(STACK, family.name, family.id)
    labels[naming.LABEL_START] = values.pop("start", naming.AWAKE)
    labels.update(values.pop("labels", {}))
    return ContainerSummary(
        id=values.pop("id", "c" * 64), name=naming.container_name(family.id), state=state, labels=labels, **values
    )


def make_host(*seen: ContainerSummary, volumes_of: tuple[UUID, ...] = ()) -> Inventory:
    """Return a host with these containers, and volumes of these families beside the containers' own."""
    volumes = {f"{each.name}-data": dict(each.labels) for each in seen}
    volumes.update({naming.volume_name(family_id): {} for family_id in volumes_of})
    return Inventory({each.name: each for each in seen}, volumes)
