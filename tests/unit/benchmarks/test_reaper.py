"""The reaper's benchmark: its limits, and what its sweeps do."""

import pytest

from benchmarks import reaper, reaper_sweep
from benchmarks.reaper_figures import Figure, p95


def test_a_figure_at_its_limit_passes_and_one_without_is_only_reported() -> None:
    """Exit code and table come from the same figures."""
    figures = [Figure("a", 10.0, "ms", 10.0), Figure("b", 10.1, "ms", 10.0, "wall time"), Figure("c", 1234.5, "ms")]
    assert reaper.failures(figures) == ["b: 10.1 ms, at most 10 ms"]
    assert reaper.table(figures).splitlines()[3:] == ["| b | 10.1 ms | 10 ms | wall time |", "| c | 1234 ms |  |  |"]
    assert reaper.failures([Figure("probes", 1, limit=0)]) == ["probes: 1, at most 0"]


def test_p95_is_what_five_of_a_hundred_exceed() -> None:
    """The nearest rank: of 200 values the 190th."""
    assert p95([float(value) for value in range(200, 0, -1)]) == 190


def test_a_sweep_lists_once_and_probes_candidates_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One listing, no probe of families in use, and no more stops than allowed."""
    for name, value in {"FAMILIES": 60, "RUNNING": 30, "IDLE": 5, "MAX_STOPS": 20, "RUNS": 1}.items():
        monkeypatch.setattr(reaper_sweep, name, value)
    found = {figure.what.partition(" families, ")[2]: figure.value for figure in reaper_sweep.measure(by_cpu=True)}
    assert found["none idle: list calls"] == found["5 idle: list calls"] == 1
    assert found["none idle: probes"] == found["none idle: stops"] == 0
    assert 5 <= found["5 idle: probes"] <= 10
    assert 1 <= found["5 idle: stops"] <= 5
