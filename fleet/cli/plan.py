"""The command `plan`: tells a reviewer what an `up` would do to which families."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fleet import naming
from fleet.cli import ConfigFile, Stack, project, write_output
from fleet.cli.registry import registry_path
from fleet.plan.activity import with_live_state
from fleet.plan.guards import GUARDS, Policy, guarded
from fleet.plan.markdown import markdown
from fleet.plan.model import Plan
from fleet.plan.preview import environment, preview, reachable_host, secrets_of
from fleet.plan.reader import read_plan
from fleet.redaction import Redaction
from fleet.registry import load_registry


def plan(
    stack: Stack = "dev",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the plan as JSON too; - prints it alone.")
    ] = None,
    config_file: ConfigFile = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="GUARD", help=f"Let it pass: {', '.join(GUARDS)}. Can be repeated.")
    ] = None,
    max_removed: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the fleet that may be removed, from 0 to 1.")
    ] = 0.2,
    production: Annotated[
        bool, typer.Option("--production", help="Guard as production, as a stack named prod is.")
    ] = False,
) -> int:
    """Tell what an up would do to which families, as Markdown. Exits with 0 for no change, 2 for changes, 3 if refused.

    Example: hermes-fleet plan --stack prod --json plan.json
    """
    if unknown := set(allow or ()) - GUARDS.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not among {', '.join(GUARDS)}", param_hint="--allow")
    if not 0 <= max_removed <= 1:
        raise typer.BadParameter(f"{max_removed} is not a share between 0 and 1", param_hint="--max-removed")
    root = project()
    env = environment(root)
    with reachable_host() as client:
        digest = preview(root, stack, config_file, env, daemon=client is not None)
        found = read_plan(digest, stack=naming.stack_label(stack))
        if client and found.live and not found.errors:
            found = with_live_state(found, client)
    canaries = frozenset() if found.errors else _canaries(registry_path(stack, config_file=config_file))
    found = guarded(
        found,
        Policy(allowed=frozenset(allow or ()), max_removed=max_removed, production=production, canaries=canaries),
    )
    redacted = Redaction(secrets_of(env)).apply
    if json_file != Path("-"):
        typer.echo(redacted(markdown(found)), nl=False)
    for refusal in found.refused:
        typer.echo(redacted(f"refused ({refusal.guard}): {refusal.why}"), err=True)
    if json_file:
        write_output(json_file, redacted(as_json(found)))
    return found.exit_code


def as_json(found: Plan) -> str:
    """Return the whole plan as JSON: it holds what a comment has no room for."""
    data = {"counts": found.counts, "waves": found.waves, "exit": found.exit_code, **asdict(found)}
    del data["volumes"]
    return json.dumps(data, indent=2) + "\n"


def _canaries(registry: Path) -> frozenset[str]:
    return frozenset(
        family.name for family in load_registry(registry).families if family.canary and family.state == "active"
    )
