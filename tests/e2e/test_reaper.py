"""The reaper on real Docker, over containers that `pulumi up` made: stand-ins whose activity a test writes down."""

import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import docker
import pytest

from fleet import identity, keys
from fleet.host import Seen
from reaper import stop
from reaper.context import Context, make_context
from reaper.decide import Limits
from reaper.engine import DockerEngine
from reaper.orphans import orphans
from reaper.reading import read_candidate
from reaper.settings import ReaperSettings
from reaper.stop import Stopped
from tests.support.fleet import FleetUnderTest, events
from tests.support.providers import find_providers
from tests.support.pulumi_stack import MASTER_KEY, ROOT

ADMIN_TOKEN = "ad317" * 8
REAPER_KEY = keys.reaper_key(MASTER_KEY)
IDLE_AFTER = 2

# In place of the agent's Python: says what the test wrote down, one file after the other, or that nothing happens.
PROBE = """#!/bin/sh
cd /opt/data
for said in activity.1 activity.2 activity; do
  if [ -e "$said" ]; then cat "$said"; case $said in *.*) rm "$said" ;; esac; exit; fi
done
echo '{"human":null,"any":null,"cron_next":null,"cron_running":0,"active_agents":0,"children":0,"inbound":0}'
"""
NOTHING = dict.fromkeys(("human", "any", "cron_next")) | dict.fromkeys(
    ("cron_running", "active_agents", "children", "inbound"), 0
)


class Slept(FleetUnderTest):
    """A fleet of stand-ins, and the reaper's command line beside it."""

    opened: ClassVar[list[Context]] = []

    def give_probe(self, *names: str) -> None:
        """Put the stand-in for the agent's Python into containers; a roll takes it away."""
        for name in names:
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                entry = tarfile.TarInfo("opt/hermes/.venv/bin/python")
                entry.size, entry.mode = len(PROBE), 0o755
                tar.addfile(entry, io.BytesIO(PROBE.encode()))
            assert self.container(name).put_archive("/", buffer.getvalue())

    def does(self, name: str, file: str = "activity", **signals: Any) -> None:
        """Let an agent do something."""
        self.put(name, file, json.dumps(NOTHING | signals))
        os.chown(self.data(name), 10000, 10000)
        os.chown(self.data(name) / file, 10000, 10000)

    def rest(self, name: str) -> None:
        """Let an agent do nothing."""
        for file in self.data(name).glob("activity*"):
            file.unlink()

    def settings(self, **values: Any) -> ReaperSettings:
        """Return the reaper's settings."""
        return ReaperSettings(
            stack=self.stack.name,
            registry=self.registry,
            database=self.folder / "reaper.db",
            reaper_key=REAPER_KEY,
            admin_token=ADMIN_TOKEN,
            limits=Limits(min_uptime=0),
            stop_grace=10,
            health_timeout=30,
            **values,
        )

    def context(self, *, dry_run: bool = False) -> Context:
        """Return a reaper's parts in this process."""
        context = make_context(self.folder, dry_run=dry_run, settings=self.settings())
        self.opened.append(context)
        return context

    def environment(self, **values: str) -> dict[str, str]:
        """Return the environment in which the command line finds its settings."""
        for file, secret in (("key", REAPER_KEY), ("admin", ADMIN_TOKEN)):
            (self.folder / file).write_text(f"{secret}\n")
        told = {
            "STACK": self.stack.name,
            "REGISTRY": str(self.registry),
            "REAPER_KEY_FILE": str(self.folder / "key"),
            "ADMIN_TOKEN_FILE": str(self.folder / "admin"),
            "DB": str(self.folder / "reaper.db"),
            "MIN_UPTIME": "0",
            "STOP_GRACE": "10",
            "HEALTH_TIMEOUT": "30",
            **values,
        }
        return {**os.environ, **{f"HERMES_FLEET_{name}": value for name, value in told.items()}}

    def reaper(self, *args: str, code: int = 0) -> str:
        """Run the command line and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "reaper", *args],
            cwd=ROOT,
            env=self.environment(),
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def swept(self) -> dict[str, dict[str, str]]:
        """Sweep once, and return what was decided by name."""
        return {row["name"]: row for row in json.loads(self.reaper("sweep", "--json"))["families"]}

    def watch(self) -> None:
        """Let the reaper look for as long as it takes until it may stop somebody."""
        self.swept()
        time.sleep(IDLE_AFTER + 0.5)

    def why(self, name: str) -> set[str]:
        """Return every reason that keeps a family awake now."""
        return {reason["reason"] for reason in json.loads(self.reaper("explain", name, "--json"))["reasons"]}


@pytest.fixture(scope="module")
def slept(
    docker_client: docker.DockerClient, pulumi_cli: str, stub_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Slept]:
    """Yield two awake families whose idle_after is two seconds, and one that is suspended. Any provider will do."""
    installed = find_providers()
    if not installed:
        pytest.skip(f"no docker provider plugin for {pulumi_cli}; get it with: make setup")
    fleet = Slept(docker_client, tmp_path_factory.mktemp("slept"), installed[0], stub_image)
    try:
        fleet.defaults = {"sleep": {"idle_after": IDLE_AFTER}}
        fleet.declare("ash", "birch")
        fleet.declare("cedar", state="suspended")
        fleet.up()
        fleet.give_probe("ash", "birch")
        yield fleet
    finally:
        fleet.clean()


@pytest.fixture
def awake(slept: Slept) -> Iterator[Slept]:
    """Yield the fleet with both families awake, idle and healthy, and a reaper that remembers nothing."""
    for name in ("ash", "birch"):
        slept.rest(name)
        for file in ("drained", "cron/jobs.json"):
            (slept.data(name) / file).unlink(missing_ok=True)
        slept.container(name).start()
    slept.wait_healthy("ash", "birch")
    for stored in slept.folder.glob("reaper.db*"):
        stored.unlink()
    yield slept
    while slept.opened:
        slept.opened.pop().close()


def ask(port: int, path: str, token: str) -> tuple[int, dict[str, Any]]:
    """Post to the reaper's API."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_idle_are_stopped_the_busy_are_not_and_pulumi_sees_no_change(awake: Slept) -> None:
    """The idle family drains and sleeps, not before its time; the busy one stays; nothing of it is drift."""
    awake.does("birch", inbound=1)
    first = awake.swept()
    assert {row["reason"] for name, row in first.items() if name != "cedar"} == {"grace"}
    assert awake.state("ash") == "running"
    time.sleep(IDLE_AFTER + 0.5)
    rows = awake.swept()
    assert (rows["ash"]["done"], rows["ash"]["reason"]) == ("stopped", "idle")
    assert (rows["birch"]["action"], rows["birch"]["reason"]) == ("keep", "inbound")
    assert (awake.state("ash"), awake.state("birch")) == ("exited", "running")
    assert (awake.data("ash") / "drained").exists()
    assert awake.preview("--expect-no-changes").changed == {}
    assert "idle" in awake.reaper("explain", "ash")
    states = {row["name"]: row["state"] for row in json.loads(awake.reaper("status", "--json"))}
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
def test_explain_names_the_reason(awake: Slept, signals: dict[str, Any], reason: str) -> None:
    """Each signal keeps the family awake and is named."""
    awake.watch()
    awake.does("ash", **signals)
    assert reason in awake.why("ash")
    assert awake.swept()["ash"]["reason"] == reason
    assert awake.state("ash") == "running"


def test_a_silent_or_lying_probe_is_busy(awake: Slept) -> None:
    """An agent that prints garbage, or a flood, is left running."""
    awake.watch()
    for flood in ("no json", "x" * 100_000):
        awake.put("ash", "activity", flood)
        awake.does("birch", inbound=1)
        assert awake.swept()["ash"]["reason"] == "unreadable"
    assert awake.state("ash") == "running"


def test_the_second_reading_saves_who_comes_in_between(awake: Slept) -> None:
    """A chat that begins between the readings is not cut off; acting on the first reading would do so."""
    awake.watch()
    context = awake.context()
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


def test_a_container_of_another_id_is_not_stopped(awake: Slept) -> None:
    """A stop goes to the container that was read, not to whoever bears its name by then."""
    awake.watch()
    context = awake.context()
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


def test_fifty_callers_in_two_processes_start_it_once(awake: Slept) -> None:
    """Everybody gets the same healthy agent; Docker saw one start."""
    awake.container("ash").stop(timeout=1)
    with events(awake.client, [awake.resource("ash")]) as seen:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", CALLERS], cwd=ROOT, env=awake.environment(), stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        found = [answer for process in processes for answer in json.loads(process.communicate(timeout=90)[0])]
    assert len(found) == 50
    assert len({answer["url"] for answer in found}) == 1
    with urllib.request.urlopen(f"{found[0]['url']}/health", timeout=5) as answer:
        assert answer.status == 200
    assert [action for _, action in seen].count("start") == 1


def test_a_sleeper_is_woken_ahead_of_its_job(awake: Slept) -> None:
    """The schedule of a stopped family is read from its volume through Docker."""
    awake.does("birch", inbound=1)
    awake.watch()
    assert awake.swept()["birch"]["reason"] == "inbound"
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
    row = awake.swept()["birch"]
    assert (row["action"], row["reason"]) == ("start", "cron")
    assert awake.state("birch") == "running"


def test_a_dry_run_changes_nothing(awake: Slept) -> None:
    """No command with --dry-run starts, stops or writes anything, though it decides the same."""
    awake.watch()
    context = awake.context()
    rows, ledger = context.store.rows(), context.store.ledger(None, 0.0)
    inspected = [awake.container(name).attrs["State"]["StartedAt"] for name in ("ash", "birch")]
    with events(awake.client, map(awake.resource, ("ash", "birch", "cedar"))) as seen:
        assert "would stop" in awake.reaper("sweep", "--dry-run")
        for args in (
            ("ensure", "cedar"),
            ("touch", "ash"),
            ("restart",),
            ("orphans", "--yes"),
            ("explain", "ash"),
            ("status",),
        ):
            awake.reaper(*args, "--dry-run")
    assert {action for _, action in seen} <= {"exec_create", "exec_start", "exec_die", "health_status"}
    assert (context.store.rows(), context.store.ledger(None, 0.0)) == (rows, ledger)
    assert [awake.container(name).attrs["State"]["StartedAt"] for name in ("ash", "birch")] == inspected


def test_the_daemon_wakes_by_heartbeat_and_by_request_and_survives_a_kill(awake: Slept, unused_port: int) -> None:
    """A heartbeat and a request wake sleepers over HTTP; a killed daemon leaves nobody locked; suspended is 409."""
    awake.container("ash").stop(timeout=1)
    awake.container("birch").stop(timeout=1)
    env = awake.environment(LISTEN=f"127.0.0.1:{unused_port}", SWEEP_EVERY="1")
    daemon = subprocess.Popen([sys.executable, "-m", "reaper", "run"], cwd=ROOT, env=env)
    try:
        _until(lambda: _answers(unused_port), 30)
        tokens = {name: keys.heartbeat_token_for(REAPER_KEY, awake.id(name)) for name in ("ash", "birch", "cedar")}
        status, answer = ask(unused_port, "/v1/families/birch/heartbeat", tokens["birch"])
        assert (status, answer["state"]) == (200, "waking")
        status, answer = ask(unused_port, "/v1/families/ash/ensure", tokens["ash"])
        assert (status, answer["woken"]) == (200, True)
        _until(lambda: awake.state("birch") == "running", 30)
        assert ask(unused_port, "/v1/families/cedar/ensure", tokens["cedar"])[0] == 409
        assert ask(unused_port, "/v1/families/ash/ensure", tokens["birch"])[0] == 401
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        assert json.loads(awake.reaper("ensure", "ash", "--json"))["state"] == "awake"
        with sqlite3.connect(awake.folder / "reaper.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        daemon.kill()
        daemon.wait()


def test_restart_keeps_the_containers(awake: Slept) -> None:
    """All awake families are stopped and started, and keep their containers."""
    before = awake.ids()
    assert len(json.loads(awake.reaper("restart", "--json"))) == 2
    assert awake.ids() == before
    assert (awake.data("ash") / "drained").exists()


def test_orphans_are_removed_by_name_and_their_volumes_stay(
    awake: Slept, docker_client: docker.DockerClient, stub_image: str
) -> None:
    """Only what bears an orphan's name goes, only when told to, and no volume with it."""
    name = f"hermes-user-usr_{uuid.uuid4().hex}"
    docker_client.containers.run(
        stub_image,
        ["sleep", "60"],
        name=name,
        entrypoint=["/bin/busybox"],
        detach=True,
        volumes={f"{name}-data": {"bind": "/opt/data"}},
    )
    context = awake.context()
    context.engine.close()
    context.engine = OnlyThese(name)
    try:
        assert [orphan.done for orphan in orphans(context, remove=False)] == ["would be removed with --yes"]
        assert [orphan.done for orphan in orphans(context, remove=True)] == ["removed; its volumes are kept"]
        assert docker_client.containers.list(all=True, filters={"name": name}) == []
        docker_client.volumes.get(f"{name}-data").remove()
    finally:
        for container in docker_client.containers.list(all=True, filters={"name": name}):
            container.remove(force=True)


class OnlyThese(DockerEngine):
    """Real Docker, where other people's containers are not seen."""

    def __init__(self, *names: str) -> None:
        """See only these containers."""
        self._names = names

    def list(self) -> dict[str, Seen]:
        """List them."""
        return {name: seen for name, seen in super().list().items() if name in self._names}


def test_strangers_are_left_alone(awake: Slept, stub_image: str) -> None:
    """A container under a family's name that this stack did not make is neither stopped nor started."""
    awake.declare("stranger")
    name = identity.container_name(awake.id("stranger"))
    container = awake.client.containers.run(
        stub_image, ["sleep", "60"], name=name, entrypoint=["/bin/busybox"], detach=True
    )
    try:
        awake.watch()
        assert awake.swept()["stranger"]["reason"] == "stranger"
        assert container.status == "created" or awake.state("stranger") == "running"
        assert "was not made by this stack" in _failure(awake, "ensure", "stranger")
    finally:
        container.remove(force=True)
        awake.families.pop()
        awake.write()


def _failure(fleet: Slept, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "reaper", *args],
        cwd=ROOT,
        env=fleet.environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _until(done: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def unused_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
