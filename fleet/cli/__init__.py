"""The command line `hermes-fleet`: its commands, what they share, and how they fail.

Exit codes: 0 done; 1 an error or wrong usage; 2 something was found (changes, drift); 3 refused; 130 interrupted.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

import fleet
from fleet.errors import FleetError
from fleet.redaction import printable

ERROR = 1
FOUND = 2

Commands = Mapping[str, tuple[str, str]]

_PROJECT_NAME = re.compile(r"""^name:\s*["']?hermes-fleet["']?\s*(#.*)?$""", re.MULTILINE)

# Of each command: where its function is, and what it does.
REGISTRY: Commands = {
    "validate": ("registry:validate", "Check the registry and print every problem."),
    "add": ("registry:add", "Append a family with a fresh UUID to the registry."),
    "list": ("registry:list_families", "List the families of the registry."),
    "render": ("registry:render", "Print what a family's container is given, secrets redacted."),
    "schema": ("registry:schema", "Print, write or check the registry's JSON Schema."),
}
FLEET: Commands = {
    "plan": ("plan:plan", "Tell what an up would do to which families."),
    "audit": ("audit:audit", "Find what differs from what the stack declares."),
    "adopt": ("adopt:adopt", "Take over a fleet that was started by docker run, with its data."),
    "purge": ("purge:purge", "Delete the data of a removed family; no other command deletes data."),
    "reaper-env": ("reaper:reaper_env", "Print the reaper's settings that follow from a stack's config."),
}
FAMILY: Commands = {
    "status": ("family:status", "List every family, its state and the reason for it."),
    "explain": ("family:explain", "Tell why a family is in its state, and what was done to it."),
    "ensure": ("family:ensure", "Wake a family and wait until it is healthy."),
    "touch": ("family:touch", "Count as activity: keep a family awake for its idle_after."),
    "token": ("family:token", "Print the token that a family's devices send."),
}
REAPER: Commands = {
    "run": ("reaper:run", "Sweep forever and serve HTTP."),
    "sweep": ("reaper:sweep", "Look at every family once; stop and start what is due."),
    "restart": ("reaper:restart", "Restart every awake family, in waves."),
    "orphans": ("reaper:orphans", "List the containers of an old deployment, hermes-user-usr_*."),
}

Stack = Annotated[
    str, typer.Option(metavar="NAME", envvar=["PULUMI_STACK", "HERMES_FLEET_STACK"], help="Name of the stack.")
]
ConfigFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The stack's config; by default in stacks/.")]
RegistryFile = Annotated[
    Path | None,
    typer.Option("--registry", metavar="FILE", help="The registry; by default the stack's, else families.yaml."),
]
FamilyName = Annotated[str, typer.Argument(metavar="FAMILY", help="Name or UUID.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be done.")]


class _Lazy(TyperGroup):
    """Imports a command's module when the command is called: no command waits for the libraries of another."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's types are private
        """Replace the placeholder of a command, whose callback returns its function."""
        name, command, rest = super().resolve_command(ctx, args)
        if command and command.callback and not isinstance(command, TyperGroup):
            one = typer.Typer(add_completion=False)
            one.command(name)(command.callback())
            command = get_command(one)
            command.params += [option for option in ctx.find_root().command.params if option.name == "project_dir"]
        return name, command, rest


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"hermes-fleet {fleet.__version__}")
        raise typer.Exit


def _set_project(value: Path | None) -> None:
    """Hand the project on in the environment, which is where the option's default comes from."""
    if value:
        os.environ["HERMES_FLEET_PROJECT"] = str(value)


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, expose_value=False, help="Print the version."
        ),
    ] = False,
    project_dir: Annotated[
        Path | None,
        typer.Option(
            "--project",
            metavar="DIR",
            callback=_set_project,
            expose_value=False,
            help="The folder of Pulumi.yaml; by default $HERMES_FLEET_PROJECT, else the nearest one above.",
        ),
    ] = None,
) -> None:
    """Do nothing: the options act by themselves."""


def make_app(text: str, panels: Mapping[str, Commands], *, completion: bool = True) -> typer.Typer:
    """Return a command line of these commands, shown in help under the titles of their panels."""
    app = typer.Typer(cls=_Lazy, help=text, no_args_is_help=True, add_completion=completion, callback=_options)
    for title, commands in panels.items():
        for name, (place, does) in commands.items():
            app.command(name, help=does, rich_help_panel=title)(_loader(place))
    return app


def _loader(place: str) -> Callable[[], Any]:
    return lambda: resolve_name(f"fleet.cli.{place}")


app = make_app(
    "One Hermes agent per family: the registry, the fleet that it declares, and the reaper.",
    {"Registry": REGISTRY, "Fleet": FLEET, "Family": FAMILY},
)
app.add_typer(
    make_app("Let idle families sleep and wake them.", {"Commands": REAPER}),
    name="reaper",
    rich_help_panel="Reaper",
)


def main(arguments: Sequence[str] | None = None, application: typer.Typer = app, program: str = "hermes-fleet") -> int:
    """Run one command and return its exit code."""
    try:
        code = get_command(application).main(arguments, program, standalone_mode=False)
        sys.stdout.flush()
    except FleetError as error:
        say(error, error=True)
    except typer.TyperException as error:
        from typer.rich_utils import rich_format_error  # noqa: PLC0415 - takes a while, and is for wrong usage only

        rich_format_error(cast("Any", error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        return code or 0
    return ERROR


def say(text: object, *, error: bool = False) -> None:
    """Print text, parts of which may come from an agent: nothing in it moves the terminal."""
    typer.echo(printable(str(text), keep="\n"), err=error)


def show(value: Any, text: str, *, as_json: bool) -> None:  # noqa: ANN401 - anything that JSON can hold
    """Print a value, which may have dataclasses in it, as JSON in ASCII, or its text."""
    if as_json:
        typer.echo(json.dumps(value, indent=2, default=vars))
    else:
        say(text)


def table(rows: Sequence[Mapping[str, Any]], empty: str) -> str:
    """Return rows of the same keys as columns under their names, as wide as they are; `empty` where there is no row."""
    if not rows:
        return empty
    cells = [[key.upper() for key in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value or "-")
    return text if text.isprintable() else repr(text)[1:-1]


def write_output(file: Path, text: str) -> None:
    """Write text in UTF-8 to a file, or to standard output for `-`. Raises FleetError where that fails."""
    if file == Path("-"):
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FleetError(f"{file}: cannot be written ({error.strerror or error})") from error


def _is_project(folder: Path) -> bool:
    try:
        return _PROJECT_NAME.search((folder / "Pulumi.yaml").read_text(encoding="utf-8")) is not None
    except (OSError, ValueError):
        return False


def project_here() -> Path | None:
    """Return the project that is named by --project or HERMES_FLEET_PROJECT, else the nearest above; None outside.

    Raises FleetError where the named folder is none.
    """
    here = Path.cwd()
    named = os.environ.get("HERMES_FLEET_PROJECT")
    if named and not _is_project(here / named):
        raise FleetError(f"{named}: has no Pulumi.yaml of hermes-fleet; fix: --project or HERMES_FLEET_PROJECT")
    return here / named if named else next(filter(_is_project, (here, *here.parents)), None)


def project() -> Path:
    """Return the project: as `project_here` finds it, else the checkout that this program runs from.

    Raises FleetError where there is none.
    """
    found = project_here() or Path(fleet.__file__).parent.parent
    if not _is_project(found):
        raise FleetError(f"{Path.cwd()}: is not inside a hermes-fleet project; fix: cd into one, or name it: --project")
    return found
