"""Restarts in waves, and what they leave alone."""

from pathlib import Path

import pytest

from reaper import restart_all_runtimes
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper, write_registry


def test_restart_goes_in_waves_and_halts(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Awake families are stopped and started; a family that does not come back ends the restart."""
    monkeypatch.setattr("reaper.restart.healthy", lambda _, port: port == 4711)
    reaper.container("ash").state = "exited"
    reaper.container("birch").port = 4711
    results = restart_all_runtimes(context=reaper.context)
    assert [(result.name, result.problem) for result in results] == [("birch", None)]
    assert reaper.engine.did("stop") == reaper.engine.did("start") == [reaper.container("birch").name]
    reaper.container("birch").port = 1
    (result,) = restart_all_runtimes(context=reaper.context)
    assert result.problem
    assert "did not answer /health" in result.problem


@pytest.mark.parametrize("how", ["asleep", "suspended", "replaced"])
def test_restart_skips_families_that_are_no_longer_awake(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waves take minutes: a family that fell asleep, was suspended or replaced meanwhile is no failure."""
    monkeypatch.setattr("reaper.restart.healthy", lambda *_: True)
    entries = [family(name) for name in ("ash", "birch", "cedar")]
    reaper = make_reaper(tmp_path, entries, wave_size=1)
    for number, container in enumerate(reaper.engine.containers.values()):
        container.port = 5000 + number

    def meanwhile() -> None:
        if how == "asleep":
            reaper.container("birch").state = "exited"
        elif how == "suspended":
            write_registry(tmp_path, [entries[0], {**entries[1], "state": "suspended"}, entries[2]])
        else:
            reaper.container("birch").id = "another"

    reaper.engine.before["start"] = meanwhile
    results = restart_all_runtimes(context=reaper.context)
    assert [(each.name, each.problem, bool(each.skipped)) for each in results] == [
        ("ash", None, False), ("birch", None, True), ("cedar", None, False),
    ]  # fmt: skip
    assert reaper.engine.did("start") == [reaper.container(name).name for name in ("ash", "cedar")]
