"""Every command can be rehearsed on real Docker, and the one that removes containers removes orphans alone."""

import sqlite3
import subprocess
import sys
from typing import Any

from fleet.cli import FAMILY, REAPER
from reaper.orphans import orphans
from tests.support.docker.docker_events import events
from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.acting import ActingFleet
from tests.support.reaper.orphan import OnlyThese, orphan

REHEARSED = {
    "sweep": ([], "would stop"),
    "ensure": (["birch"], "would be woken"),
    "touch": (["ash"], "would be kept awake"),
    "status": ([], "asleep"),
    "explain": (["ash"], "no sign of life"),
    "orphans": (["--yes"], "would be removed"),
    "restart": ([], "wave 0: ash"),
    "token": (["ash"], ""),
    "run": ([], "would stop"),
}


def test_a_dry_run_changes_nothing(awake: ActingFleet) -> None:
    """With --dry-run no command starts, stops, removes or writes anything, though it says what it would do."""
    awake.container("birch").stop(timeout=1)
    awake.beside.has_watched()
    with (
        orphan(awake.client, awake.image) as left,
        events(awake.client, [str(left.name), *map(awake.resource, ("ash", "birch", "cedar"))]) as seen,
    ):
        before = everything(awake)
        for command, (args, says) in REHEARSED.items():
            said = _rehearsed(awake) if command == "run" else awake.beside.reaper(command, *args, "--dry-run")
            assert says in said, command
            assert everything(awake) == before, command
            assert awake.client.containers.get(str(left.id)).status == "running", command
    assert {action for _, action in seen} <= {"health_status: healthy"}


def test_every_command_has_a_rehearsal() -> None:
    """The test above knows every command that there is."""
    assert {*REAPER, *FAMILY} == set(REHEARSED)


def _rehearsed(fleet: ActingFleet) -> str:
    command = [sys.executable, "-m", "reaper", "run", "--dry-run"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=fleet.beside.environment(SWEEP_EVERY="1"), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    said = next(line for line in process.stderr if "would stop" in line)
    process.terminate()
    assert process.wait(timeout=30) == 0
    process.stderr.close()
    return said


def everything(fleet: ActingFleet) -> dict[str, Any]:
    """Return all of Docker's inspect but what healthchecks change, every row of the store, and every file's name."""
    found: dict[str, Any] = {}
    for name in ("ash", "birch", "cedar"):
        attributes = dict(fleet.container(name).attrs)
        attributes["State"] = {key: value for key, value in attributes["State"].items() if key != "Health"}
        attributes["Mounts"] = sorted(attributes["Mounts"], key=str)  # Docker lists them in any order
        found |= {f"{name}.{key}": value for key, value in attributes.items() if key != "ExecIDs"}
        found[f"{name}.data"] = sorted(str(path) for path in fleet.data(name).rglob("*"))
    with sqlite3.connect(f"file:{fleet.folder / 'reaper.db'}?mode=ro", uri=True) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found |= {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608
    return found


def test_orphans_are_removed_by_name_and_their_volumes_stay(awake: ActingFleet) -> None:
    """Only containers with an orphan's name are removed, only on request, and no volume with them."""
    with orphan(awake.client, awake.image) as left:
        name = str(left.name)
        context = awake.beside.context()
        context.engine.close()
        context.engine = OnlyThese(name)
        assert [found.done for found in orphans(context, remove=False)] == ["would be removed with --yes"]
        assert [found.done for found in orphans(context, remove=True)] == ["removed; its volumes are kept"]
        assert awake.client.containers.list(all=True, filters={"name": name}) == []
        assert awake.client.volumes.get(f"{name}-data")
