"""Commands on one family, by the reaper's settings: `status`, `explain`, `ensure`, `touch` and `token`."""

import json
from typing import Annotated

import typer

import reaper
from fleet import keys
from fleet.cli import DryRun, FamilyName, Json, show, table
from fleet.cli.reaper import OnlyStack, reaper_context
from fleet.cli.registry import find_family
from fleet.errors import FleetError
from fleet.registry import Family
from reaper import views
from reaper.context import Context


def status(stack: OnlyStack = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """List every family, its state and the reason for it.

    Example: hermes-fleet status
    """
    with reaper_context(stack, dry_run=dry_run) as context:
        found, now = views.statuses(context), context.clock.now()
    rows = [
        {
            "name": view.name,
            "state": view.state,
            "since": views.ago(now, view.since),
            "last": f"{views.ago(now, view.last)} {view.signal}".strip(),
            "next job": views.ago(now, view.cron_next),
            "memory": f"{view.memory} MiB",
            "url": view.url,
            "why": view.text.partition("\n")[0],
        }
        for view in found
    ]
    show(found, table(rows, "no families"), as_json=as_json)


def explain(
    family: FamilyName,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Start of the history: 21:04, 2026-11-20T21:04, 90m, 12h or 2d.")
    ] = None,
    lines: Annotated[str | None, typer.Option(metavar="N", help=f"Lines of history (default {views.LINES}).")] = None,
    stack: OnlyStack = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Tell why a family is in its state: reasons, facts, and what was done to it.

    Example: hermes-fleet explain smith --since 12h
    """
    with reaper_context(stack, dry_run=dry_run) as context:
        found, now = find_family(context.families.current(), family), context.clock.now()
        told = views.explain(context, found, views.ledger_query(since, lines, found, now))
    text = [
        f"{found.name} is {told['state']}, since {views.ago(now, told['since'])}",
        f"now: {told['decision']} ({told['reason']}): {told['text']}",
        *(f"also: {reason['reason']}: {reason['text']}" for reason in told["reasons"][1:]),
        "facts:",
        *(f"  {name}: {json.dumps(value)}" for name, value in told["facts"].items()),
        "ledger:",
        *(f"  {views.format_line(views.LedgerLine(**line))}" for line in told["ledger"]),
    ]
    show(told, "\n".join(text), as_json=as_json)


def ensure(family: FamilyName, stack: OnlyStack = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Wake a family, wait until it is healthy, and print the URL of its API.

    Example: hermes-fleet ensure smith
    """
    with reaper_context(stack, dry_run=dry_run) as context:
        found = find_family(context.families.current(), family)
        if dry_run:
            view = views.status(context, found)
            would = "is awake" if view.state == "awake" else f"is {view.state}: would be woken"
            show({**vars(view), "would": would}, f"{found.name} {would}", as_json=as_json)
            return
        runtime = reaper.ensure_runtime(str(found.id), context=context)
    woken = f"woken in {runtime.ms} ms" if runtime.woken else "was awake"
    show(runtime, f"{runtime.name}  {runtime.url}  {woken}", as_json=as_json)


def touch(family: FamilyName, stack: OnlyStack = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Count as activity: keep an awake family up for its idle_after. It wakes no family.

    Example: hermes-fleet touch smith
    """
    with reaper_context(stack, dry_run=dry_run) as context:
        found, now = find_family(context.families.current(), family), context.clock.now()
        if not dry_run:
            context.store.update(found.id, touched=now)
        state = _state(context, found)
    if state == "awake":
        came_to = f"{'would be' if dry_run else 'is'} kept awake for {found.sleep.idle_after} s"
    else:
        came_to = f"is {state}, and a touch wakes no family"
    if state == "asleep":
        came_to += f"; fix: hermes-fleet ensure {found.name}"
    show({"name": found.name, "touched": now, "state": state}, f"{found.name} {came_to}", as_json=as_json)


def _state(context: Context, family: Family) -> str:
    try:
        return "suspended" if family.state == "suspended" else views.status(context, family).state
    except FleetError as error:
        return f"in a state that cannot be read ({error})"


def token(family: FamilyName, stack: OnlyStack = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Print the token that a family's devices send with heartbeats.

    Example: hermes-fleet token smith
    """
    with reaper_context(stack, dry_run=dry_run) as context:
        found = find_family(context.families.current(), family)
        secret = keys.heartbeat_token_for(context.settings.reaper_key, found.id)
    show({"name": found.name, "id": str(found.id), "token": secret}, secret, as_json=as_json)
