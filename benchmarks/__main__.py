"""Measures what the fleet costs over the engine: `python -m benchmarks`, or `make bench`.

Without arguments: the plan of 100 and of 1,000 new families against an equal bare program, in turns, without touching a
daemon, and the reaper (`--reaper` for that alone); the exit code is 1 over the agreed ratios and limits. `--life`
measures updates instead, and `--remedies` what other ways to keep the state take, both on the local Docker daemon.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import life, plan, reaper, remedies, report
from benchmarks.engine import BenchError
from benchmarks.reaper_figures import busy


def main() -> int:
    """Measure, print, and tell by the exit code whether the ratios hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=_sizes, default=(100, 1000), metavar="N,N", help="default: 100,1000")
    parser.add_argument("--runs", type=int, default=2, help="runs of each program and size, in turns; default: 2")
    parser.add_argument("--life", action="store_true", help="measure first up, no-op up, refresh and rolls instead")
    parser.add_argument("--reaper", action="store_true", help="measure the reaper alone")
    parser.add_argument(
        "--remedies", action="store_true", help="measure other ways to keep the state, at the last size"
    )
    parser.add_argument(
        "--postgres", metavar="URL", help="with --remedies: a database to keep state in, postgres://..."
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append the tables to a file")
    args = parser.parse_args()
    texts: list[str] = []
    failures: list[str] = []
    # Before anything of our own makes the machine busy.
    by_cpu = busy()
    machine = report.machine()
    print(machine)
    try:
        if args.life:
            texts.append(report.life_table(life.measure(args.sizes)))
        if args.remedies:
            texts.append(report.remedies_table(remedies.measure(args.sizes[-1], args.postgres)))
        if not (args.life or args.reaper or args.remedies):
            measured = plan.measure(args.sizes, args.runs)
            texts.append(report.plan_table(measured))
            failures += plan.failures(measured)
        if not (args.life or args.remedies):
            figures = reaper.measure(by_cpu=by_cpu)
            texts.append(reaper.table(figures))
            failures += reaper.failures(figures)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    text = "\n\n".join(texts)
    print(text)
    if args.markdown:
        with args.markdown.open("a", encoding="utf-8") as out:
            out.write(f"\n{machine}\n\n{text}\n")
    for failure in failures:
        print(f"over the agreed limit: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
