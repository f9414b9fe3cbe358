"""Measures what the fleet costs over the engine and over Docker: `python -m benchmarks`, or `make bench`.

Each measurement has a name. Without one: the plan of 100 and of 1,000 new families against an equal bare program, a
roll of awake families, and the reaper. The exit code is 1 over the agreed ratios and limits.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import life, plan, reaper, remedies, report, roll
from benchmarks.engine import SKIP_CHECKPOINTS, BenchError
from benchmarks.reaper_figures import busy

Result = tuple[str, list[str]]


def _plan(args: argparse.Namespace) -> Result:
    """Plan new families by the fleet's program and by a bare one, alternating, without a daemon."""
    measured = plan.measure(args.sizes, args.runs, busy=args.busy)
    return report.plan_table(measured), plan.failures(measured)


def _roll(_: argparse.Namespace) -> Result:
    """Roll awake families, against the time that Docker alone takes to stop and start them."""
    rolled = roll.measure()
    return report.roll_table(rolled), roll.failures(rolled)


def _reaper(args: argparse.Namespace) -> Result:
    """Measure the reaper: sweeps, `ensure`, wakes."""
    figures = reaper.measure(by_cpu=args.busy)
    return reaper.table(figures), reaper.failures(figures)


def _life(args: argparse.Namespace) -> Result:
    """Run first up, no-op up, refresh and rolls beside a bare program, on the local Docker daemon."""
    environment = SKIP_CHECKPOINTS if args.skip_checkpoints else {}
    lived = life.measure(args.sizes, args.runs, awake=not args.asleep, environment=environment)
    kept = "The state is written at the end of each update only.\n\n" if args.skip_checkpoints else ""
    return kept + report.life_table(lived), life.failures(lived, by_cpu=args.busy)


def _remedies(args: argparse.Namespace) -> Result:
    """Compare other ways to store the state, at the largest size, on the local Docker daemon."""
    return report.remedies_table(remedies.measure(args.sizes[-1], args.postgres)), []


MEASUREMENTS: Mapping[str, Callable[[argparse.Namespace], Result]] = {
    "plan": _plan,
    "roll": _roll,
    "reaper": _reaper,
    "life": _life,
    "remedies": _remedies,
}
USUAL = ("plan", "roll", "reaper")


def main() -> int:
    """Measure and print; return 1 over the agreed ratios and limits."""
    args = _arguments()
    # Before the measurements make the machine busy.
    args.busy = busy()
    machine = report.machine()
    print(machine)
    failures: list[str] = []
    texts: list[str] = []
    try:
        for name in args.what or USUAL:
            text, over = MEASUREMENTS[name](args)
            print(f"\n{text}", flush=True)
            texts.append(text)
            failures += over
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    if args.markdown:
        with args.markdown.open("a", encoding="utf-8") as out:
            out.write("\n".join(f"\n{part}\n" for part in (machine, *texts)))
    for failure in failures:
        print(f"over the agreed limit: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:9} {measure.__doc__}" for name, measure in MEASUREMENTS.items()),
    )
    parser.add_argument("what", nargs="*", metavar="NAME", help=f"default: {' '.join(USUAL)}; see below")
    parser.add_argument("--sizes", type=_sizes, default=(100, 1000), metavar="N,N", help="families; default: 100,1000")
    parser.add_argument("--runs", type=int, default=2, help="of a plan, and of what changes nothing; default: 2")
    parser.add_argument("--asleep", action="store_true", help="life: leave out the roll of awake families")
    parser.add_argument(
        "--skip-checkpoints",
        action="store_true",
        help="life: write the state at the end of an update only (never for real)",
    )
    parser.add_argument("--postgres", metavar="URL", help="remedies: a database to keep state in, postgres://...")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append the tables to a file")
    args = parser.parse_args()
    if unknown := set(args.what) - set(MEASUREMENTS):
        parser.error(f"{', '.join(sorted(unknown))}: unknown measurement; expected {', '.join(MEASUREMENTS)}")
    return args


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
