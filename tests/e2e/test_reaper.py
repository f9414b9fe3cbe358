"""The reaper on real Docker, over containers that `pulumi up` made: stand-ins whose activity a test writes down."""

import argparse
import contextlib
import json
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from fleet import identity
from fleet.host import Seen
from reaper import stop
from reaper.cli import _parser
from reaper.decide import Limits
from reaper.engine import DockerEngine
from reaper.orphans import orphans
from reaper.reading import read_candidate
from reaper.stop import Stopped
from tests.support.acting import ActingFleet
from tests.support.companion import daemon, until
from tests.support.docker_events import events
from tests.support.pulumi_stack import ROOT, Provider

IDLE_AFTER = 2


@pytest.fixture(scope="module")
def slept(
    docker_client: docker.DockerClient,
    any_provider: Provider,
    stub_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ActingFleet]:
    """Yield two awake families whose idle_after is two seconds, and one that is suspended."""
    fleet = ActingFleet(docker_client, tmp_path_factory.mktemp("slept"), any_provider, stub_image)
    try:
        fleet.defaults = {"sleep": {"idle_after": IDLE_AFTER}}
        fleet.declare("ash", "birch")
        fleet.declare("cedar", state="suspended")
        fleet.up()
        yield fleet
    finally:
        fleet.clean()


@pytest.fixture
def awake(slept: ActingFleet) -> Iterator[ActingFleet]:
    """Yield the fleet with both families awake, idle and healthy, and a reaper that remembers nothing."""
    for name in ("ash", "birch"):
        slept.rest(name)
        for file in ("drained", "cron/jobs.json"):
            (slept.data(name) / file).unlink(missing_ok=True)
        slept.container(name).start()
    slept.wait_healthy("ash", "birch")
    slept.beside.forget()
    slept.beside.registry, slept.beside.limits = None, Limits(min_uptime=0)
    yield slept
    slept.beside.close()


def test_the_idle_are_stopped_the_busy_are_not_and_pulumi_sees_no_change(awake: ActingFleet) -> None:
    """The idle family drains and sleeps, not before its time; the busy one stays; nothing of it is drift."""
    awake.does("birch", inbound=1)
    first = awake.beside.swept()
    assert {row["reason"] for name, row in first.items() if name != "cedar"} == {"grace"}
    assert awake.state("ash") == "running"
    time.sleep(IDLE_AFTER + 0.5)
    rows = awake.beside.swept()
    assert (rows["ash"]["done"], rows["ash"]["reason"]) == ("stopped", "idle")
    assert (rows["birch"]["action"], rows["birch"]["reason"]) == ("keep", "inbound")
    assert (awake.state("ash"), awake.state("birch")) == ("exited", "running")
    assert (awake.data("ash") / "drained").exists()
    assert awake.silent()
    assert "idle" in awake.beside.reaper("explain", "ash")
    states = {row["name"]: row["state"] for row in json.loads(awake.beside.reaper("status", "--json"))}
    assert states == {"ash": "asleep", "birch": "awake", "cedar": "suspended"}


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ({"active_agents": 1}, "active_agents"),
        ({"cron_running": 1}, "cron_running"),
        ({"children": 1}, "children"),
        ({"inbound": 2}, "inbound"),
        ({"children": None, "errors": {"children": "no gateway process runs"}}, "unreadable"),
    ],
)
def test_explain_names_the_reason(awake: ActingFleet, signals: dict[str, Any], reason: str) -> None:
    """Each signal keeps the family awake and is named."""
    awake.beside.has_watched()
    awake.does("ash", **signals)
    assert reason in awake.beside.why("ash")
    assert awake.beside.swept()["ash"]["reason"] == reason
    assert awake.state("ash") == "running"


def _heartbeat(fleet: ActingFleet) -> None:
    fleet.beside.context().store.mark(fleet.id("ash"), "heartbeat", time.time())


def _touch(fleet: ActingFleet) -> None:
    fleet.beside.reaper("touch", "ash")


def _due_soon(fleet: ActingFleet) -> None:
    fleet.does("ash", cron_next=time.time() + 30)


def _written_to(fleet: ActingFleet) -> None:
    fleet.does("ash", human=time.time())


def _just_spoken(fleet: ActingFleet) -> None:
    fleet.does("ash", any=time.time())


def _never(fleet: ActingFleet) -> None:
    fleet.beside.sleep_rules(ash={"idle_after": 600, "never": True})


def _keep_warm(fleet: ActingFleet) -> None:
    week = [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "to": "24:00"}]
    fleet.beside.sleep_rules(ash={"idle_after": 600, "keep_warm": week})


def _young(fleet: ActingFleet) -> None:
    fleet.beside.limits = Limits(min_uptime=3600)


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (_heartbeat, "heartbeat"),
        (_touch, "touched"),
        (_due_soon, "cron_due"),
        (_written_to, "human_message"),
        (_just_spoken, "message"),
        (_never, "never"),
        (_keep_warm, "keep_warm"),
        (_young, "young"),
    ],
)
def test_what_keeps_a_family_awake_is_explained(
    awake: ActingFleet, happens: Callable[[ActingFleet], None], reason: str
) -> None:
    """Signs of life, its schedule, the registry and its youth keep a family awake; idle without them, it sleeps."""
    awake.beside.sleep_rules(ash={"idle_after": 600}, birch={"never": True})
    awake.beside.has_watched()
    happens(awake)
    assert reason in awake.beside.why("ash")
    assert awake.beside.swept()["ash"]["reason"] == reason
    assert awake.state("ash") == "running"


def test_a_silent_or_lying_probe_is_busy(awake: ActingFleet) -> None:
    """An agent that prints garbage, or a flood, is left running."""
    awake.beside.has_watched()
    for flood in ("no json", "x" * 100_000):
        awake.put("ash", "activity", flood)
        awake.does("birch", inbound=1)
        assert awake.beside.swept()["ash"]["reason"] == "unreadable"
    assert awake.state("ash") == "running"


def test_the_second_reading_saves_who_comes_in_between(awake: ActingFleet) -> None:
    """A chat that begins between the readings is not cut off; acting on the first reading would do so."""
    awake.beside.has_watched()
    context = awake.beside.context()
    family = context.families.current().get("ash")
    seen = context.engine.list()[awake.resource("ash")]
    awake.does("ash", "activity.1")
    awake.does("ash", inbound=1)
    first = read_candidate(context, family, seen, 0.0)
    assert first.decision.reason.code == "idle"
    ended, second = stop.stop_family(context, family, seen)
    assert (ended, second and second.reason.code) == (Stopped.BUSY, "inbound")
    assert awake.state("ash") == "running"
    assert context.store.holders() == {}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stop, "second_reading", lambda *_: first)
        assert stop.stop_family(context, family, seen)[0] is Stopped.DONE
    assert awake.state("ash") == "exited"


def test_a_container_of_another_id_is_not_stopped(awake: ActingFleet) -> None:
    """A stop goes to the container that was read, not to whoever bears its name by then."""
    awake.beside.has_watched()
    context = awake.beside.context()
    family = context.families.current().get("ash")
    assert stop.stop_family(context, family, Seen("0" * 64, awake.resource("ash"), "running"))[0] is Stopped.REPLACED
    assert awake.state("ash") == "running"


CALLERS = """
import sys, json, threading
from pathlib import Path
from reaper import ensure_runtime
from reaper.context import make_context
found = []
def call():
    found.append(ensure_runtime("ash", context=make_context(Path.cwd())).as_dict())
threads = [threading.Thread(target=call) for _ in range(25)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(found))
"""


def test_fifty_callers_in_two_processes_start_it_once(awake: ActingFleet) -> None:
    """Everybody gets the same healthy agent; Docker saw one start."""
    awake.container("ash").stop(timeout=1)
    with events(awake.client, [awake.resource("ash")]) as seen:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", CALLERS],
                cwd=ROOT,
                env=awake.beside.environment(),
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        found = [answer for process in processes for answer in json.loads(process.communicate(timeout=90)[0])]
    assert len(found) == 50
    assert len({answer["url"] for answer in found}) == 1
    with urllib.request.urlopen(f"{found[0]['url']}/health", timeout=5) as answer:
        assert answer.status == 200
    assert [action for _, action in seen].count("start") == 1


def test_a_sleeper_is_woken_ahead_of_its_job(awake: ActingFleet) -> None:
    """The schedule of a stopped family is read from its volume through Docker."""
    awake.does("birch", inbound=1)
    awake.beside.has_watched()
    assert awake.beside.swept()["birch"]["reason"] == "inbound"
    awake.container("birch").stop(timeout=1)
    later = datetime.now(UTC) + timedelta(seconds=50)
    job = {
        "id": "a",
        "enabled": True,
        "state": "scheduled",
        "schedule": {"kind": "cron"},
        "next_run_at": later.isoformat(),
    }
    awake.put("birch", "cron/jobs.json", json.dumps({"jobs": [job]}))
    row = awake.beside.swept()["birch"]
    assert (row["action"], row["reason"]) == ("start", "cron")
    assert awake.state("birch") == "running"


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
        orphan(awake) as left,
        events(awake.client, [left, *map(awake.resource, ("ash", "birch", "cedar"))]) as seen,
    ):
        before = everything(awake)
        for command, (args, says) in REHEARSED.items():
            said = _rehearsed(awake) if command == "run" else awake.beside.reaper(command, *args, "--dry-run")
            assert says in said, command
            assert everything(awake) == before, command
            assert awake.client.containers.get(left).status == "running", command
    assert {action for _, action in seen} <= {"health_status"}


def test_every_command_has_a_rehearsal() -> None:
    """The test above knows every command that there is."""
    commands = next(each.choices for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    assert set(commands) == set(REHEARSED)


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


@contextlib.contextmanager
def orphan(fleet: ActingFleet) -> Iterator[str]:
    """Yield the name of a running container as an old deployment left them."""
    name = f"hermes-user-usr_{uuid.uuid4().hex}"
    container = fleet.client.containers.run(
        fleet.image,
        ["trap 'exit 0' TERM; sleep 600 & wait"],
        name=name,
        entrypoint=["/bin/sh", "-c"],
        detach=True,
        network_mode="none",
        volumes={f"{name}-data": {"bind": "/opt/data"}},
    )
    try:
        yield name
    finally:
        with contextlib.suppress(NotFound):
            container.remove(force=True)
        with contextlib.suppress(NotFound):
            fleet.client.volumes.get(f"{name}-data").remove()


def test_the_daemon_wakes_by_heartbeat_and_by_request_and_survives_a_kill(awake: ActingFleet, unused_port: int) -> None:
    """A heartbeat and a request wake sleepers over HTTP; a killed daemon leaves nobody locked; suspended is 409."""
    awake.container("ash").stop(timeout=1)
    awake.container("birch").stop(timeout=1)
    with daemon(awake.beside, unused_port) as running:
        status, answer = running.post("heartbeat", "birch")
        assert (status, answer["state"]) == (200, "waking")
        status, answer = running.post("ensure", "ash")
        assert (status, answer["woken"]) == (200, True)
        until(lambda: awake.state("birch") == "running", 30)
        assert running.post("ensure", "cedar")[0] == 409
        assert running.post("ensure", "ash", running.token("birch"))[0] == 401
        running.program.kill()
        assert json.loads(awake.beside.reaper("ensure", "ash", "--json"))["state"] == "awake"
        with sqlite3.connect(awake.folder / "reaper.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_restart_keeps_the_containers(awake: ActingFleet) -> None:
    """All awake families are stopped and started, and keep their containers."""
    before = awake.ids()
    assert len(json.loads(awake.beside.reaper("restart", "--json"))) == 2
    assert awake.ids() == before
    assert (awake.data("ash") / "drained").exists()


def test_orphans_are_removed_by_name_and_their_volumes_stay(awake: ActingFleet) -> None:
    """Only what bears an orphan's name goes, only when told to, and no volume with it."""
    with orphan(awake) as name:
        context = awake.beside.context()
        context.engine.close()
        context.engine = OnlyThese(name)
        assert [found.done for found in orphans(context, remove=False)] == ["would be removed with --yes"]
        assert [found.done for found in orphans(context, remove=True)] == ["removed; its volumes are kept"]
        assert awake.client.containers.list(all=True, filters={"name": name}) == []
        assert awake.client.volumes.get(f"{name}-data")


class OnlyThese(DockerEngine):
    """Real Docker, where other people's containers are not seen."""

    def __init__(self, *names: str) -> None:
        """See only these containers."""
        self._names = names

    def list(self) -> dict[str, Seen]:
        """List them."""
        return {name: seen for name, seen in super().list().items() if name in self._names}


def test_strangers_are_left_alone(awake: ActingFleet, stub_image: str) -> None:
    """A container under a family's name that this stack did not make is neither stopped nor started."""
    awake.declare("stranger")
    name = identity.container_name(awake.id("stranger"))
    container = awake.client.containers.run(
        stub_image, ["sleep", "60"], name=name, entrypoint=["/bin/busybox"], detach=True
    )
    try:
        awake.beside.has_watched()
        assert awake.beside.swept()["stranger"]["reason"] == "stranger"
        assert container.status == "created" or awake.state("stranger") == "running"
        refused = awake.beside.command("ensure", "stranger")
        assert refused.returncode == 1
        assert "was not made by this stack" in refused.stderr
    finally:
        container.remove(force=True)
        awake.families.pop()
        awake.write()
