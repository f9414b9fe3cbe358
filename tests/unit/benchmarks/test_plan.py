"""The judgement of plans, on invented figures."""

import json
from pathlib import Path

from benchmarks import fleets, plan, report
from benchmarks.engine import Measured
from benchmarks.plan import BARE, OURS, Compared
from fleet.registry import load_registry


def compared(families: int, bare: float, ours: float, *, busy: bool = False) -> Compared:
    """Return a size whose best runs took these seconds of wall time a family, and twice that in processor time."""
    runs = {
        name: [Measured(families * each * slow, families * each * 2 * slow, 100.0) for slow in (1.5, 1.0)]
        for name, each in ((BARE, bare), (OURS, ours))
    }
    return Compared(families, runs, busy)


def test_the_agreed_ratios_pass_and_fail() -> None:
    """1.10 times the bare program at the largest size; 1.3 times the cost a family at the smallest."""
    assert plan.failures([compared(100, 1.0, 1.5), compared(1000, 1.0, 1.09)]) == []
    (slow,) = plan.failures([compared(100, 1.0, 1.1), compared(1000, 1.0, 1.2)])
    assert "1.20 times the bare program" in slow
    (growing,) = plan.failures([compared(100, 1.0, 1.0), compared(1000, 1.4, 1.4)])
    assert "1.40 times as much" in growing


def test_the_best_run_counts_and_a_busy_machine_is_judged_by_processor_time() -> None:
    """The report says which of the two times was judged."""
    assert compared(10, 1.0, 1.0).best(OURS) == 10
    assert compared(10, 1.0, 1.0, busy=True).best(OURS) == 20
    assert "processor time" in report.plan_table([compared(10, 1.0, 1.0, busy=True)])
    assert "Judged by wall time; 2 runs each" in report.plan_table([compared(10, 1.0, 1.0)])


def test_both_programs_declare_the_same_resources(tmp_path: Path) -> None:
    """A registry of the right size, and for each family the container and the files that the fleet gives it."""
    bench = fleets.Bench("bench-unit", 7, awake=2, image="image:1")
    registry = tmp_path / "families.yaml"
    registry.write_text(fleets.registry_text(bench), encoding="utf-8")
    families = load_registry(registry).families
    assert [family.canary for family in families] == [True, True, *[False] * 5]
    bare = json.loads(json.dumps(fleets.bare_fleet(bench, registry)))
    assert [each["container"]["start"] for each in bare["families"]] == [True, True, *[False] * 5]
    assert {len(each["uploads"]) for each in bare["families"]} == {3}
    assert [each["component"]["family"] for each in bare["families"]] == [family.name for family in families]
    assert len(bare["scripts"]) == 3
