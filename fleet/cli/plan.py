"""`plan`: tells a reviewer what an `up` would do to which families."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleet import naming
from fleet.cli import ROOT, add_config_file_argument, add_stack_argument, registry_path
from fleet.output_file import write_output
from fleet.plan.activity import with_live_state
from fleet.plan.guards import GUARDS, Policy, guarded
from fleet.plan.markdown import markdown
from fleet.plan.model import Plan
from fleet.plan.preview import environment, preview, reachable_host, secrets_of
from fleet.plan.reader import read_plan
from fleet.redaction import Redaction
from fleet.registry import load_registry


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_stack_argument(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the plan as JSON too")
    add_config_file_argument(parser)
    parser.add_argument(
        "--allow", action="append", default=[], choices=tuple(GUARDS), metavar="GUARD", help=", ".join(GUARDS)
    )
    parser.add_argument("--max-removed", type=_share, default=0.2, metavar="SHARE", help="of the fleet; default: 0.2")
    parser.add_argument("--production", action="store_true", help="guard as production (so is a stack named prod…)")


def run(args: argparse.Namespace) -> int:
    """Print the plan. Returns 0 for no change, 2 for changes, 3 where a guard refuses, 1 for an error."""
    env = environment(ROOT)
    with reachable_host() as client:
        digest = preview(ROOT, args.stack, args.config_file, env, daemon=client is not None)
        plan = read_plan(digest, stack=naming.stack_label(args.stack))
        if client and plan.live and not plan.errors:
            plan = with_live_state(plan, client)
    policy = Policy(
        allowed=frozenset(args.allow),
        max_removed=args.max_removed,
        production=args.production,
        canaries=_canaries(registry_path(args.stack, config_file=args.config_file)) if not plan.errors else frozenset(),
    )
    plan = guarded(plan, policy)
    mask = Redaction(secrets_of(env))
    print(mask.apply(markdown(plan)), end="")
    for refusal in plan.refused:
        print(mask.apply(f"refused ({refusal.guard}): {refusal.why}"), file=sys.stderr)
    if args.json:
        write_output(args.json, mask.apply(as_json(plan)))
    return plan.exit_code


def as_json(plan: Plan) -> str:
    """Return the plan as JSON, whole: what a comment has no room for stands here."""
    data: dict[str, Any] = asdict(plan)
    del data["volumes"]
    counts = {kind: len(plan.of(kind)) for kind in ("added", "rolled", "removed", "noted")}
    counts |= {"unchanged": plan.unchanged, "asleep": sum(not change.started for change in plan.of("rolled"))}
    return json.dumps({"counts": counts, "waves": plan.waves, "exit": plan.exit_code, **data}, indent=2) + "\n"


def _canaries(registry: Path) -> frozenset[str]:
    families = load_registry(registry).families
    return frozenset(family.name for family in families if family.canary and family.state == "active")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1")
    return share
