"""Previews as Pulumi writes them, made in a test."""

from typing import Any
from uuid import UUID, uuid5

from fleet import naming

SPACE = UUID("6f0e4b0c-0000-4000-8000-000000000000")
URN = "urn:pulumi:test::hermes-fleet::hermes-fleet:index:Fleet$"
RUNTIME = "hermes-fleet:index:FamilyRuntime"
CONTAINER = f"{RUNTIME}$docker:index/container:Container"
VOLUME = f"{RUNTIME}$docker:index/volume:Volume"


def inputs(name: str, **changes: Any) -> dict[str, Any]:
    """Return the inputs of a family's component."""
    return {
        "family": name,
        "image": "hermes:1",
        "hermesLine": "0.19",
        "config": "timezone: UTC\n",
        "identity": f"- Family: {name}",
        "toolsets": ["web"],
        "limits": {"memoryMiB": 512, "cpus": 1},
        "env": {},
        "gateway": {"dashboard": False, "supervise": True},
        "credentials": "0123456789abcdef",
        "plugins": {"directory": "/srv", "version": ""},
        "state": "active",
        **changes,
    }


def family_steps(  # noqa: PLR0913 - a step of a preview has that many sides
    name: str,
    operation: str = "same",
    *,
    family_id: UUID | None = None,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    start: bool = True,
    after: tuple[str, ...] = (),
    retained: bool = True,
    container: dict[str, Any] | None = None,
    volume: str | None = None,
) -> list[dict[str, Any]]:
    """Return the three steps of one family: component, container, volume. `roll` is what a roll looks like."""
    uid = family_id or uuid5(SPACE, name)
    called = naming.container_name(uid)
    rolled = operation == "roll"
    runtime: dict[str, Any] = {"urn": f"{URN}{RUNTIME}::{called}", "op": "update" if rolled else operation}
    if operation != "create":
        runtime["oldState"] = {"inputs": inputs(name, **(old or {}))}
    if operation != "delete":
        runtime["newState"] = {"inputs": inputs(name, **(new or {}))}
    waits = [f"{URN}{CONTAINER}::{naming.container_name(uuid5(SPACE, other))}" for other in after]
    state = {"inputs": {"start": start}, "dependencies": waits}
    box: dict[str, Any] = {"urn": f"{URN}{CONTAINER}::{called}", "op": "replace" if rolled else operation}
    box |= {"oldState": {"inputs": {}}} if operation == "delete" else {"newState": state}
    place = {
        "urn": f"{URN}{VOLUME}::{called}-data",
        "op": volume or ("same" if rolled else operation),
        "oldState": {"retainOnDelete": retained},
    }
    return [runtime, {**box, **(container or {})}, place]


def digest(*families: list[dict[str, Any]], diagnostics: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    """Return a whole preview."""
    return {
        "config": {},
        "steps": [step for steps in families for step in steps],
        "diagnostics": [{"severity": severity, "message": message} for severity, message in diagnostics],
    }
