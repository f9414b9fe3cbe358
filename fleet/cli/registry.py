"""Commands on the registry: `validate`, `add`, `list`, `render` and `schema`."""

import os
import re
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fleet import naming
from fleet.cli import (
    FamilyName,
    Json,
    RegistryFile,
    Stack,
    project,
    project_here,
    say,
    show,
    table,
    write_output,
)
from fleet.errors import FleetError, Problem
from fleet.registry import Family, Registry, add_family, load_registry
from fleet.registry.fields import suggestion
from fleet.registry.reader import display_path
from fleet.registry.schema import FILE_NAME, schema_text
from fleet.settings import DEFAULT_REGISTRY
from fleet.stack_file import placeholder_settings, read_settings, registry_of, stack_path

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)", re.DOTALL)


def registry_path(stack: str, given: Path | None = None, config_file: Path | None = None) -> Path:
    """Return the given registry, else the one that the stack's config names, else families.yaml of the project.

    Raises FleetError where the config cannot be read, or where there is no project.
    """
    return given or registry_of(project(), naming.stack_label(stack), config_file) or project() / DEFAULT_REGISTRY


def registry_here(stack: str, given: Path | None) -> Path:
    """Return the registry for a command that also works outside a project, on the families.yaml of this folder.

    Raises FleetError as `registry_path` does.
    """
    return given or (registry_path(stack) if project_here() else Path(DEFAULT_REGISTRY))


def find_family(registry: Registry, slug_or_uuid: str) -> Family:
    """Return a family of the registry. Raises FleetError with the nearest name where there is none."""
    try:
        return registry.get(slug_or_uuid)
    except KeyError:
        near = suggestion(slug_or_uuid, tuple(family.name for family in registry.families))
        raise FleetError(f"{slug_or_uuid!r} is not in {display_path(registry.path)}{near}") from None


def validate(
    registry: RegistryFile = None,
    stack: Stack = "dev",
    plugins_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The mounted plugins; by default the folder plugins beside the registry."),
    ] = None,
    output_format: Annotated[
        Literal["text", "github"], typer.Option("--format", help="github: annotations of a workflow run.")
    ] = "text",
    as_json: Json = False,
) -> int:
    """Check the registry and print every problem with its line and column.

    Example: hermes-fleet validate --format github
    """
    path = registry_here(stack, registry)
    beside = str(path.parent / "plugins")
    plugins_dir = plugins_dir or (Path(beside) if os.path.isdir(beside) else None)  # noqa: PTH112 - raises nothing
    problems: list[dict[str, Any]] = []
    count = 0
    try:
        count = len(load_registry(path, plugins_dir).families)
    except FleetError as error:
        if output_format == "text" and not as_json:
            raise
        problems = [_located(problem) for problem in error.problems]
    if plugins_dir is None:
        say("plugins were not checked: no directory named plugins beside the registry", error=True)
    good = f"{display_path(path)}: {count} {'family' if count == 1 else 'families'}, no problems"
    text = "\n".join(_annotation(**each) for each in problems) or good
    show({"registry": str(path), "families": count, "problems": problems}, text, as_json=as_json)
    return 1 if problems else 0


def _located(problem: Problem) -> dict[str, Any]:
    """Return file, line and column of a problem, as far as it names them, and its message."""
    match = _PLACE.fullmatch(str(problem))
    if not match:
        return {"message": str(problem)}
    return {**match.groupdict(), "line": int(match["line"]), "column": int(match["column"])}


def _annotation(message: str, file: str = "", line: int = 0, column: int = 0) -> str:
    """Return a problem as a workflow command of GitHub."""
    if not file:
        return f"::error::{_escaped(message)}"
    name = _escaped(file).replace(":", "%3A").replace(",", "%2C")
    return f"::error file={name},line={line},col={column}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def add(
    display_name: Annotated[str, typer.Argument(metavar="NAME", help="What the agent calls the family.")],
    registry: RegistryFile = None,
    stack: Stack = "dev",
    as_json: Json = False,
) -> None:
    """Append a family with a fresh UUID to the registry; comments stay.

    Example: hermes-fleet add "The Smiths"
    """
    path = registry_here(stack, registry)
    family = add_family(path, display_name)
    show(
        {"registry": str(path), "name": family.name, "id": str(family.id)},
        f"{display_path(path)}: added {family.name} ({family.id})",
        as_json=as_json,
    )


def list_families(
    registry: RegistryFile = None,
    stack: Stack = "dev",
    live: Annotated[bool, typer.Option("--live", help="Ask the Docker host which are awake, and where.")] = False,
    as_json: Json = False,
) -> None:
    """List the families of the registry in its order.

    Example: hermes-fleet list --live
    """
    families = load_registry(registry_here(stack, registry)).families
    rows = _live(families, naming.stack_label(stack)) if live else [_declared(family) for family in families]
    show(rows, table(rows, "no families"), as_json=as_json)


def _declared(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "id": str(family.id),
        "display_name": family.display_name,
        "timezone": family.timezone,
        "channels": ["api_server", *family.plugins],
        "state": family.state,
        "canary": family.canary,
    }


def _live(families: Iterable[Family], stack: str) -> list[dict[str, Any]]:
    """Return each family with its state on the Docker host, and the URL of its API while it runs.

    Raises FleetError where no daemon answers.
    """
    from fleet import host  # noqa: PLC0415 - only this command needs Docker

    with closing(host.connect()) as client:
        found = host.list_fleet(client.api)
    ours = found.ours(stack)
    rows = []
    for family in families:
        own = ours.get(family.id)
        if own is None:
            state = "stranger" if found.container(family.id) else "not provisioned"
        elif own.state != "running":
            asleep = "suspended" if family.state == "suspended" else "asleep"
            state = own.state if own.awake else asleep
        elif "health: starting" in own.status:
            state = "starting"
        else:
            state = "unhealthy" if "unhealthy" in own.status else "awake"
        rows.append(
            {
                "name": family.name,
                "id": str(family.id),
                "state": state,
                "url": f"http://127.0.0.1:{own.port}" if own and own.port else None,
            }
        )
    return rows


def render(family: FamilyName, registry: RegistryFile = None, stack: Stack = "dev", as_json: Json = False) -> None:
    """Print config.yaml, the identity block and the managed part of .env of a family, secrets redacted.

    Example: hermes-fleet render smith
    """
    from fleet.container import spec_for  # noqa: PLC0415 - only this command renders
    from fleet.container.credentials import redaction_for  # noqa: PLC0415

    found = find_family(load_registry(registry_here(stack, registry)), family)
    root, label = project_here() or Path.cwd(), naming.stack_label(stack)
    path = stack_path(root, label)
    if path.is_file():
        settings = read_settings(root, label)
    else:
        say(f"{display_path(path)} is not there: shown with placeholders for its config", error=True)
        settings = placeholder_settings(root, label)
    spec = spec_for(found, settings)
    redacted = redaction_for(settings, [found]).apply
    parts = {
        "config.yaml": redacted(spec.config),
        "memories/MEMORY.md, our entry": redacted(spec.identity),
        ".env, our block": redacted(spec.env),
    }
    if as_json:
        show(parts, "", as_json=True)
    else:  # exactly as the container gets it
        typer.echo("\n\n".join(f"# --- {title}\n{text.rstrip()}" for title, text in parts.items()))


def schema(
    write: Annotated[bool, typer.Option("--write", help="Write the file.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail where the file is out of date.")] = False,
    file: Annotated[Path, typer.Option(metavar="FILE")] = Path(FILE_NAME),
) -> None:
    """Print the JSON Schema of the registry, write it to a file, or check that the file is current.

    Example: hermes-fleet schema --check
    """
    current = schema_text()
    if write and check:
        raise FleetError("--write and --check exclude each other; fix: give one of them")
    if write or not check:
        write_output(file if write else Path("-"), current)
    elif not file.is_file() or file.read_text(encoding="utf-8") != current:
        raise FleetError(f"{file}: is out of date; fix: hermes-fleet schema --write")
