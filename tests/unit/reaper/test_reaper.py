"""The library of a service that calls it often, from many threads, and may fork."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import reaper as library
from reaper import ensure_runtime, evict_idle
from tests.support.docker.recorded_docker import Recording, playing
from tests.support.fleet.fleet import family
from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.reaper import FakeEngine, make_reaper, write_registry
from tests.support.reaper.reaper_program import environment

STACK = "test-unit"
FORKS = """
import os, signal
import reaper as library
from reaper import evict_idle
def open_files():
    found = []
    for number in sorted(os.listdir("/proc/self/fd"), key=int)[3:]:
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            pass
    return [name for name in found if "reaper.db" in name or "socket:" in name]
assert evict_idle().problem is None and open_files()
child = os.fork()
if not child:
    os._exit(len(open_files()))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
with library._sharing:
    child = os.fork()
    if not child:
        signal.alarm(30)
        os._exit(evict_idle().problem is not None)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert evict_idle().problem is None
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeEngine]]:
    """Let the settings name a fleet whose families run; yield each engine that the library makes."""
    reaper = make_reaper(tmp_path, [family("ash"), family("birch")])
    for container in reaper.engine.containers.values():
        container.port = 4711
    engines: list[FakeEngine] = []

    def engine() -> FakeEngine:
        engines.append(reaper.engine)
        return reaper.engine

    monkeypatch.setattr("reaper.context.DockerEngine", engine)
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    for name, value in environment(tmp_path, STACK, tmp_path / "families.yaml", None).items():
        monkeypatch.setenv(name, value)
    yield engines
    library._close_all()
    library._shared.clear()


def open_files_of_the_store(folder: Path) -> int:
    """Return how many open files of this process belong to the store."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        found += entry.is_symlink() and str(entry.readlink()).startswith(f"{folder}/reaper.db")
    return found


def test_all_calls_share_their_connections(made: list[FakeEngine], tmp_path: Path) -> None:
    """Any number of calls from any number of threads: one Docker client and one connection to the store."""
    with ThreadPoolExecutor(8) as pool:
        assert {each.state for each in pool.map(ensure_runtime, ["ash", "birch"] * 20)} == {"awake"}
    assert evict_idle().problem is None
    assert len(made) == 1
    assert open_files_of_the_store(tmp_path) == 3


def test_a_call_uses_the_current_settings_and_registry(
    made: list[FakeEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may change between calls, and everything else is shared."""
    assert ensure_runtime("ash").name == "ash"
    registry = tmp_path / "families.yaml"
    registry.write_text(registry.read_text().replace("name: ash", "name: oak"))
    assert ensure_runtime("oak").name == "oak"
    assert len(made) == 1
    monkeypatch.setenv("HERMES_FLEET_DB", str(tmp_path / "another.db"))
    assert ensure_runtime("oak").name == "oak"
    assert (tmp_path / "another.db").exists()


def test_a_fork_inherits_no_open_store(tmp_path: Path) -> None:
    """SQLite forbids it; both processes open their own, even if another thread held the lock at the fork."""
    registry = write_registry(tmp_path, [family("ash")])
    with playing(Recording.all_running(STACK, registry), tmp_path) as host:
        told = environment(tmp_path, STACK, registry, host)
        subprocess.run([sys.executable, "-c", FORKS], cwd=ROOT, env=told, check=True, timeout=60)
