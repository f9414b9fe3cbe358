"""The command line of the reaper. Exit codes: 0 done, 1 something went wrong and is said on stderr."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from fleet import keys
from fleet.errors import FleetError
from fleet.redaction import printable
from fleet.registry import Family
from reaper import orphans, restart, views
from reaper.context import Context, make_context
from reaper.policy.rules import Action
from reaper.store.database import StoreError
from reaper.sweep.sweeper import Sweeper
from reaper.wake.runtime import UnknownError
from reaper.wake.waker import Waker

ERROR = 1
INTERRUPTED = 130

Command = Callable[[Context, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if args.command == "run" else logging.WARNING, format="%(levelname)s %(message)s"
    )
    try:
        context = make_context(Path.cwd(), dry_run=args.dry_run)
        try:
            code: int = args.run(context, args)
        finally:
            context.close()
    except (FleetError, StoreError) as error:
        _print(error, file=sys.stderr)
        return ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--dry-run", action="store_true", help="change nothing; say what would be done")
    shared.add_argument("--json", action="store_true", help="print JSON")
    parser = argparse.ArgumentParser(prog="python -m reaper", description="Lets idle families sleep and wakes them.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, run: Command, text: str, *, family: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[shared], help=text, description=f"{text}.".capitalize())
        if family:
            added.add_argument("family", metavar="FAMILY", help="name or UUID")
        added.set_defaults(run=run)
        return added

    server = add("run", _run, "sweep for ever and serve HTTP")
    server.add_argument("--behind-tls", action="store_true", help="a proxy in front speaks TLS: listen anywhere")
    add("sweep", _sweep, "look at every family once, and stop and start what is due")
    add("ensure", _ensure, "wake a family and wait until it is healthy", family=True)
    add("touch", _touch, "count as activity: keep a family awake for its idle_after", family=True)
    add("status", _status, "print every family and why it is as it is")
    explainer = add("explain", _explain, "say why a family is as it is, and what was done with it", family=True)
    explainer.add_argument(
        "--since", metavar="WHEN", help="what was done since 21:04, 2026-11-20T21:04, 90m, 12h or 2d"
    )
    explainer.add_argument("--lines", metavar="N", help=f"how many lines of that (default {views.LINES})")
    remover = add("orphans", _orphans, "list what an old deployment left, hermes-user-usr_*")
    remover.add_argument("--yes", action="store_true", help="remove them; their volumes are kept")
    add("restart", _restart, "restart every awake family in waves")
    add("token", _token, "print the token that a family's devices send", family=True)
    return parser


def _run(context: Context, args: argparse.Namespace) -> int:
    from reaper.http import server  # noqa: PLC0415 - the other commands do without an HTTP server

    if args.dry_run:
        server.dry_run(context)
    else:
        server.run(context, behind_tls=args.behind_tls)
    return 0


def _sweep(context: Context, args: argparse.Namespace) -> int:
    waker = Waker(context)
    report = Sweeper(context, waker, dry_run=args.dry_run).sweep()
    waker.wait()
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
    if args.json:
        _print_json({"problem": report.problem, "grace": report.grace, "families": rows})
    else:
        shown = [row for row in rows if row["action"] != Action.KEEP.value] if len(rows) > 50 else rows  # noqa: PLR2004
        _table(shown)
    if report.problem:
        _print(report.problem, file=sys.stderr)
        return ERROR
    return 0


def _ensure(context: Context, args: argparse.Namespace) -> int:
    family = _family(context, args.family)
    if args.dry_run:
        view = views.status(context, family)
        would = "is awake" if view.state == "awake" else f"is {view.state}: would be woken"
        _say(args, {**view.as_dict(), "would": would}, f"{family.name} {would}")
        return 0
    runtime = Waker(context).ensure(family)
    woken = f"woken in {runtime.ms} ms" if runtime.woken else "was awake"
    _say(args, runtime.as_dict(), f"{runtime.name}  {runtime.url}  {woken}")
    return 0


def _touch(context: Context, args: argparse.Namespace) -> int:
    family = _family(context, args.family)
    now = context.clock.now()
    if not args.dry_run:
        context.store.update(family.id, touched=now)
    state = _state(context, family)
    if state == "awake":
        came_to = f"{'would be' if args.dry_run else 'is'} kept awake for {family.sleep.idle_after} s"
    else:
        came_to = f"is {state}, and a touch wakes nobody"
    if state == "asleep":
        came_to += f"; wake it with: python -m reaper ensure {family.name}"
    _say(args, {"name": family.name, "touched": now, "state": state}, f"{family.name} {came_to}")
    return 0


def _state(context: Context, family: Family) -> str:
    if family.state == "suspended":
        return "suspended"
    try:
        return views.status(context, family).state
    except FleetError as error:
        return f"in a state that cannot be read ({error})"


def _status(context: Context, args: argparse.Namespace) -> int:
    found = views.statuses(context)
    if args.json:
        _print_json([view.as_dict() for view in found])
        return 0
    now = context.clock.now()
    rows = [
        {
            "name": view.name,
            "state": view.state,
            "since": views.ago(now, view.since),
            "last": f"{views.ago(now, view.last)} {view.signal}".strip(),
            "next job": views.ago(now, view.cron_next),
            "memory": f"{view.memory} MiB",
            "url": view.url or "-",
            "why": view.text,
        }
        for view in found
    ]
    _table(rows)
    return 0


def _explain(context: Context, args: argparse.Namespace) -> int:
    family = _family(context, args.family)
    now = context.clock.now()
    asked = views.ledger_query(args.since, args.lines, family, now)
    told = views.explain(context, family, asked)
    if args.json:
        _print_json(told)
        return 0
    _print(f"{family.name} is {told['state']}, since {views.ago(now, told['since'])}")
    _print(f"now: {told['decision']} ({told['reason']}): {told['text']}")
    for reason in told["reasons"][1:]:
        _print(f"also: {reason['reason']}: {reason['text']}")
    _print("facts:")
    for name, value in told["facts"].items():
        _print(f"  {name}: {json.dumps(value)}")
    _print("ledger:")
    for line in told["ledger"]:
        _print(f"  {views.format_line(views.LedgerLine(**line))}")
    return 0


def _orphans(context: Context, args: argparse.Namespace) -> int:
    found = []
    for orphan in orphans.orphans(context, remove=args.yes and not args.dry_run):
        found.append(orphan)
        if not args.json:
            age = f", {orphan.age} old" if orphan.age else ""
            _print(f"{orphan.name}  {orphan.id[:12]}  {orphan.state}{age}  {orphan.done}")
    if args.json:
        _print_json([orphan.as_dict() for orphan in found])
    elif not found:
        _print("no orphans")
    return ERROR if any(orphan.failed for orphan in found) else 0


def _restart(context: Context, args: argparse.Namespace) -> int:
    _print(restart.NEW_CREDENTIALS, file=sys.stderr)
    if args.dry_run:
        waves = [[family.name for family, _ in wave] for wave in restart.plan_waves(context)]
        _say(
            args,
            waves,
            "\n".join(f"wave {at}: {', '.join(names)}" for at, names in enumerate(waves)) or "nobody is awake",
        )
        return 0

    def say(result: restart.Restarted) -> None:
        if not args.json:
            came_to = result.problem or result.skipped or f"healthy after {result.ms} ms"
            _print(f"wave {result.wave}  {result.name}  {came_to}")

    results = restart.restart_waves(context, say)
    if args.json:
        _print_json([result.as_dict() for result in results])
    elif not results:
        _print("nobody is awake")
    return ERROR if any(result.problem for result in results) else 0


def _token(context: Context, args: argparse.Namespace) -> int:
    family = _family(context, args.family)
    token = keys.heartbeat_token_for(context.settings.reaper_key, family.id)
    _say(args, {"name": family.name, "id": str(family.id), "token": token}, token)
    return 0


def _family(context: Context, slug_or_uuid: str) -> Family:
    family = context.families.find(slug_or_uuid)
    if family is None:
        raise UnknownError(f"{slug_or_uuid!r} is not in {context.settings.registry}")
    return family


def _say(args: argparse.Namespace, value: Any, text: str) -> None:  # noqa: ANN401 - anything that JSON can hold
    if args.json:
        _print_json(value)
    else:
        _print(text)


def _print(text: object, *, file: TextIO | None = None) -> None:
    """Print a text of which a part may come from an agent: nothing in it moves the terminal."""
    print(printable(str(text), keep="\n"), file=file)


def _print_json(value: Any) -> None:  # noqa: ANN401 - anything that JSON can hold
    print(json.dumps(value, indent=2))  # in ASCII: what does not print is escaped


def _table(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        _print("nothing to do")
        return
    cells = [[key.upper() for key in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        _print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    text = str(value).splitlines()[0] if str(value) else "-"
    return text if text.isprintable() else repr(text)[1:-1]
