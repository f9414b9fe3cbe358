"""The reaper's benchmark: what it judges, and that its sweeps are the ones that it tells of."""

import pytest

from benchmarks import reaper, reaper_sweep
from benchmarks.reaper_figures import Figure, p95


def test_a_limit_holds_up_to_itself_and_what_has_none_is_only_told() -> None:
    """Exit code and table come from the same figures."""
    figures = [Figure("a", 10.0, "ms", 10.0), Figure("b", 10.1, "ms", 10.0, "wall time"), Figure("c", 1234.5, "ms")]
    assert reaper.failures(figures) == ["b: 10.1 ms, at most 10 ms"]
    assert reaper.table(figures).splitlines()[3:] == ["| b | 10.1 ms | 10 ms | wall time |", "| c | 1234 ms |  |  |"]
    assert reaper.failures([Figure("probes", 1, limit=0)]) == ["probes: 1, at most 0"]


def test_p95_is_what_five_of_a_hundred_exceed() -> None:
    """The nearest rank: of 200 values the 190th."""
    assert p95([float(value) for value in range(200, 0, -1)]) == 190


def test_a_sweep_asks_for_one_list_and_probes_candidates_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the figures say: one listing, nobody asked who is in use, and no more stops than are allowed."""
    for name, value in {"FAMILIES": 60, "RUNNING": 30, "IDLE": 5, "MAX_STOPS": 20, "RUNS": 1}.items():
        monkeypatch.setattr(reaper_sweep, name, value)
    found = {figure.what.partition(" families, ")[2]: figure.value for figure in reaper_sweep.measure(by_cpu=True)}
    assert found["nobody idle: list calls"] == found["5 idle: list calls"] == 1
    assert found["nobody idle: probes"] == found["nobody idle: stops"] == 0
    assert 5 <= found["5 idle: probes"] <= 10
    assert 1 <= found["5 idle: stops"] <= 5
