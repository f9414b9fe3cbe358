"""New credentials roll through the fleet by `pulumi up` while the reaper runs beside it: neither undoes the other."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from fleet import naming
from reaper.policy.facts import Limits
from tests.support.docker.docker_events import events
from tests.support.pulumi.pulumi_stack import Provider
from tests.support.reaper.acting import ActingFleet
from tests.support.reaper.reaper_process import Daemon, daemon
from tests.support.waiting import until

ANOTHER_KEY = "sk-test-PLANTED-rolled-beside-the-reaper"
EVERYBODY = ("ash", "birch", "cedar", "dogwood", "elm", "fir")


@pytest.fixture
def fleet(
    docker_client: docker.DockerClient, any_provider: Provider, stub_image: str, tmp_path: Path
) -> Iterator[ActingFleet]:
    """Yield six families that may sleep after three seconds, all awake."""
    made = ActingFleet(docker_client, tmp_path, any_provider, stub_image)
    try:
        made.defaults = {"sleep": {"idle_after": 3}}
        made.declare(*EVERYBODY)
        made.stack.configure({"rollout.wave_size": str(len(EVERYBODY))})
        made.up()
        made.stack.configure({"rollout.wave_size": "2"})
        # A family that has just passed the roll's gate is not stopped in it.
        made.beside.limits = Limits(min_uptime=5)
        yield made
    finally:
        made.beside.close()
        made.clean()


@contextlib.contextmanager
def heartbeats(running: Daemon, *names: str) -> Iterator[list[tuple[int, str]]]:
    """Let families' devices send heartbeats inside the block, and collect the answers."""
    ended = threading.Event()
    answers: list[tuple[int, str]] = []

    def send() -> None:
        while not ended.wait(0.3):
            for name in names:
                status, answer = running.post("heartbeat", name)
                answers.append((status, str(answer.get("state", answer))))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield answers
    finally:
        ended.set()
        sender.join()


def test_a_roll_and_the_reaper_leave_each_other_alone(fleet: ActingFleet, unused_port: int) -> None:
    """All get the new credentials once; used families stay awake, sleeping ones stay asleep, nothing is drift.

    Ash sends heartbeats, birch works, cedar is left idle, dogwood sleeps; elm and fir sleep until their devices wake
    them, elm before the roll and fir in the middle of it.
    """
    for name in ("dogwood", "elm", "fir"):
        fleet.container(name).stop(timeout=1)
    fleet.does("birch", inbound=1)
    before = fleet.ids()
    old = {name: fleet.container(name).labels[naming.LABEL_CREDENTIALS] for name in EVERYBODY}
    began = time.time()
    with (
        daemon(fleet.beside, unused_port) as running,
        heartbeats(running, "ash", "elm") as answers,
        events(fleet.client, map(fleet.resource, EVERYBODY)) as seen,
    ):
        fleet.stack.configure({}, {"llmApiKey": ANOTHER_KEY})
        roll = fleet.stack.process("up", "--yes", "--skip-preview")
        until(lambda: roll.poll() is not None or fleet.ids().get("ash") not in {None, before["ash"]}, 120)
        with heartbeats(running, "fir"):
            said, _ = roll.communicate(timeout=300)
            assert roll.returncode == 0, said
            until(lambda: {fleet.state(name) for name in ("ash", "birch", "elm", "fir")} == {"running"}, 60)
            fleet.wait_healthy("ash", "birch", "elm", "fir")
            until(lambda: fleet.state("cedar") in {"created", "exited"}, 60, lambda: fleet.beside.why("cedar"))
            assert fleet.silent()
    assert set(answers) <= {(200, state) for state in ("awake", "starting", "waking")}

    after = fleet.ids()
    assert not set(before.values()) & set(after.values())
    for name in EVERYBODY:
        of = [action for container, action in seen if container == fleet.resource(name)]
        assert (of.count("create"), of.count("destroy")) == (1, 1), (name, of)
        assert fleet.container(name).labels[naming.LABEL_CREDENTIALS] != old[name], name
    assert "start" not in [action for container, action in seen if container == fleet.resource("dogwood")]
    assert fleet.state("dogwood") == "created"
    ledger = fleet.beside.context().store.ledger(None, began)
    stopped = {entry.family for entry in ledger if entry.action in {"stopping", "stop"}}
    assert stopped <= {fleet.id("cedar")}
    assert fleet.up().changed == {}
    assert fleet.beside.context().store.holders() == set()
