"""Commands on the reaper: `reaper run`, `sweep`, `restart`, `orphans`, and `reaper-env`; `python -m reaper`."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

import fleet.cli
import reaper
from fleet import naming
from fleet.cli import ERROR, FAMILY, REAPER, DryRun, Json, Stack, make_app, project, project_here, say, show, table
from fleet.errors import FleetError
from reaper import orphans as old_containers
from reaper import restart as waves
from reaper.context import Context, make_context
from reaper.policy.rules import Action
from reaper.store.database import StoreError

_MANY = 50

OnlyStack = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="Fail unless the reaper's settings are for this stack.")
]


@contextmanager
def reaper_context(stack: str | None, *, dry_run: bool = False, level: int = logging.WARNING) -> Iterator[Context]:
    """Yield the parts of the reaper whose settings are in the environment or the project, and close them.

    Raises FleetError, also where they are for another stack or the store cannot be read or written.
    """
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    try:
        with closing(make_context(project_here() or Path.cwd(), dry_run=dry_run)) as context:
            if stack and naming.stack_label(stack) != context.settings.stack:
                raise FleetError(f"--stack {stack}: the reaper's settings here are for stack {context.settings.stack}")
            yield context
    except StoreError as error:
        raise FleetError(str(error)) from error


def run(
    behind_tls: Annotated[
        bool, typer.Option("--behind-tls", help="A proxy in front terminates TLS: listen on any address.")
    ] = False,
    stack: OnlyStack = None,
    dry_run: DryRun = False,
) -> None:
    """Sweep forever and serve HTTP, until SIGTERM or Ctrl-C.

    Example: hermes-fleet reaper run
    """
    from reaper.http import server  # noqa: PLC0415 - the other commands do without an HTTP server

    with reaper_context(stack, dry_run=dry_run, level=logging.INFO) as context:
        if dry_run:
            server.dry_run(context)
        else:
            server.run(context, behind_tls=behind_tls)


def sweep(stack: OnlyStack = None, dry_run: DryRun = False, as_json: Json = False) -> int:
    """Look at every family once; stop and start what is due.

    Example: hermes-fleet reaper sweep --dry-run
    """
    with reaper_context(stack, dry_run=dry_run) as context:
        report = reaper.evict_idle(dry_run=dry_run, context=context)
    rows = [
        {
            "name": outcome.family.name,
            "action": outcome.decision.action.value,
            "reason": outcome.decision.reason.code,
            "text": outcome.decision.reason.text,
            "done": outcome.done,
        }
        for outcome in report.outcomes.values()
    ]
    shown = [row for row in rows if len(rows) <= _MANY or row["action"] != Action.KEEP.value]
    show(
        {"problem": report.problem, "grace": report.grace, "families": rows},
        table(shown, "nothing to do"),
        as_json=as_json,
    )
    if report.problem:
        say(report.problem, error=True)
    return ERROR if report.problem else 0


def restart(stack: OnlyStack = None, dry_run: DryRun = False, as_json: Json = False) -> int:
    """Restart every awake family in waves, each once the one before it is healthy. New credentials need pulumi up.

    Example: hermes-fleet reaper restart --dry-run
    """
    say(waves.NEW_CREDENTIALS, error=True)

    def report(result: waves.Restarted) -> None:
        if not as_json:
            came_to = result.problem or result.skipped or f"healthy after {result.ms} ms"
            say(f"wave {result.wave}  {result.name}  {came_to}")

    with reaper_context(stack, dry_run=dry_run) as context:
        if dry_run:
            planned = [[family.name for family, _ in wave] for wave in waves.plan_waves(context)]
            text = "\n".join(f"wave {number}: {', '.join(names)}" for number, names in enumerate(planned))
            show(planned, text or "no family is awake", as_json=as_json)
            return 0
        results = waves.restart_waves(context, report)
    if as_json or not results:
        show(results, "no family is awake", as_json=as_json)
    return ERROR if any(result.problem for result in results) else 0


def orphans(
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; their volumes are kept.")] = False,
    stack: OnlyStack = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """List the containers that an old deployment left, hermes-user-usr_*, and remove them with --yes.

    Example: hermes-fleet reaper orphans
    """
    found = []
    with reaper_context(stack, dry_run=dry_run) as context:
        for orphan in old_containers.orphans(context, remove=yes and not dry_run):
            found.append(orphan)
            if not as_json:
                age = f", {orphan.age} old" if orphan.age else ""
                say(f"{orphan.name}  {orphan.id[:12]}  {orphan.state}{age}  {orphan.done}")
    if as_json or not found:
        show(found, "no orphans", as_json=as_json)
    return ERROR if any(orphan.failed for orphan in found) else 0


def reaper_env(stack: Stack = "dev", as_json: Json = False) -> None:
    """Print the reaper's settings that follow from a stack's config, as lines for its environment.

    Example: hermes-fleet reaper-env --stack prod
    """
    from fleet import stack_file  # noqa: PLC0415 - the other commands read no stack file

    settings = stack_file.reaper_env(stack_file.read_settings(project(), naming.stack_label(stack)))
    show(settings, "\n".join(f"{name}={value}" for name, value in settings.items()), as_json=as_json)


def main() -> int:
    """Run `python -m reaper`, which has the commands on families too, and return the exit code."""
    app = make_app("Let idle families sleep and wake them.", {"Reaper": REAPER, "Family": FAMILY}, completion=False)
    return fleet.cli.main(None, app, "python -m reaper")
