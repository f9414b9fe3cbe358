"""The judgement of the stages of a fleet's life."""

from collections.abc import Mapping

import pytest

import benchmarks.__main__
from benchmarks import life, report
from benchmarks.engine import Measured
from benchmarks.life import Lived
from benchmarks.plan import BARE, OURS


def lived(families: int, stage: str, ratio: float, cpu: float = 1.0) -> Lived:
    """Return a stage that took ten seconds in the bare program."""
    measured = {BARE: Measured(10, 10, 100), OURS: Measured(10 * ratio, 10 * cpu, 100)}
    return Lived(families, stage, measured, {BARE: 1.0, OURS: 1.0})


@pytest.mark.parametrize("stage", [life.FIRST, life.NOOP, life.ROLL])
def test_a_slow_stage_of_the_largest_fleet_is_named(stage: str) -> None:
    """The limit is 1.1 times the bare program. In small fleets the program's start dominates: they are not judged."""
    assert life.failures([lived(10, stage, 2.0), lived(100, stage, 1.1)], by_cpu=False) == []
    (said,) = life.failures([lived(10, stage, 1.0), lived(100, stage, 1.2)], by_cpu=False)
    assert said == f"{stage} of 100 families takes 1.20 times the bare program's time"


def test_stages_that_the_bare_program_lacks_are_not_judged() -> None:
    """The bare program has no gates, and a refresh runs no program."""
    assert life.failures([lived(100, life.REFRESH, 2.0), lived(100, "roll, 20 awake", 2.0)], by_cpu=False) == []


def test_a_busy_machine_is_judged_by_processor_time() -> None:
    """Wall time includes waiting for other processes."""
    assert life.failures([lived(100, life.NOOP, 2.0)], by_cpu=True) == []
    assert life.failures([lived(100, life.NOOP, 1.0, cpu=1.2)], by_cpu=True)


def test_the_table_has_the_cost_of_a_family() -> None:
    """In milliseconds, to compare sizes."""
    assert "| 100 | no-op up | 10.0 s | 12.0 s | 1.20 | 1.00 | 120 ms |" in report.life_table(
        [lived(100, life.NOOP, 1.2)]
    )


def test_a_life_without_checkpoints_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both engines get the setting, and the table says so."""
    asked: list[Mapping[str, str]] = []

    def measure(*_: object, environment: Mapping[str, str], **__: object) -> list[Lived]:
        asked.append(environment)
        return [lived(1000, life.NOOP, 1.0)]

    monkeypatch.setattr(life, "measure", measure)
    # Independent of the machine's load and Pulumi CLI.
    monkeypatch.setattr(benchmarks.__main__, "busy", lambda: False)
    monkeypatch.setattr(report, "machine", lambda: "a machine")
    for flags in ([], ["--skip-checkpoints"]):
        monkeypatch.setattr("sys.argv", ["benchmarks", "life", *flags])
        assert benchmarks.__main__.main() == 0
    assert asked == [{}, {"PULUMI_SKIP_CHECKPOINTS": "true"}]
    assert capsys.readouterr().out.count("The state is written at the end of each update only.") == 1
