"""Two hundred rounds of everything at once on real Docker: no busy family is stopped, none is lost, no lease stays.

Stand-ins on a Docker daemon that the test may restart, and the reaper in a process that it may kill. As in
life, a chat begins with a request to the reaper for the agent.
"""

import contextlib
import gc
import os
import queue
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reaper import ensure_runtime
from reaper.sweep.sweeper import Sweeper
from tests.support.docker.own_docker import OwnDocker
from tests.support.fleet import stub_agent
from tests.support.reaper.race_fleet import NAMES, RaceFleet
from tests.support.reaper.reaper_process import Daemon, daemon
from tests.support.waiting import until

ROUNDS = 220

# docker-py drops the socket that did not find a daemon.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@dataclass
class Race:
    """What happens to the fleet, by dice that a seed repeats."""

    race_fleet: RaceFleet
    running: Daemon
    dice: random.Random
    pool: ThreadPoolExecutor
    about_to_stop: "queue.SimpleQueue[str]"
    begun: "list[Future[None]]" = field(default_factory=list)
    did: "Counter[str]" = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Look along with the reaper from this process, too."""
        context = self.race_fleet.beside.context()
        self.sweeper = Sweeper(context, self.race_fleet.beside.sweeper().waker)

    def round(self, awake: list[str]) -> None:
        """Let one thing happen to an awake family, and perhaps one to a family that is about to be stopped."""
        for name, until_then in list(self.race_fleet.talking.items()):
            if time.monotonic() > until_then and self.race_fleet.locks[name].acquire(blocking=False):
                self.race_fleet.end_chat(name)
                self.race_fleet.locks[name].release()
        what = self.dice.choices(("heartbeat", "chat", "ensure", "sweep", "roll"), (4, 4, 3, 2, 1))[0]
        self.do(what, self.dice.choice(awake))
        with contextlib.suppress(queue.Empty):
            name = self.about_to_stop.get(timeout=self.dice.uniform(0.05, 0.4))
            self.did["candidates"] += 1
            self.do(self.dice.choice(("chat", "chat", "heartbeat", "roll", "nothing", "nothing")), name)

    def do(self, what: str, name: str) -> None:
        """Begin something."""
        self.did[what] += 1
        seconds = self.dice.uniform(0.3, 2.5)
        through = self.dice.random()
        work = {
            "heartbeat": lambda: self.heartbeat(name),
            "chat": lambda: self.chat(name, seconds, through),
            "ensure": lambda: self.ensure(name, through),
            "sweep": lambda: (self.sweeper.sweep(), None)[1],
            "roll": lambda: self.race_fleet.roll(name),
            "nothing": lambda: None,
        }[what]
        self.begun.append(self.pool.submit(work))

    def heartbeat(self, name: str) -> None:
        """Send a heartbeat, if the reaper runs."""
        with contextlib.suppress(OSError):
            status, answer = self.running.post("heartbeat", name)
            assert status in {200, 404, 503}, answer  # 404 in the gap of a roll, 503 in that of a restart

    def ensure(self, name: str, through: float) -> None:
        """Ask for an agent: from this process, or over HTTP as long as the reaper lives."""
        if through < 0.5:
            try:
                status, answer = self.running.post("ensure", name)
            except OSError:
                status, answer = 0, {}
            if status:
                assert (status, answer["state"]) == (200, "awake"), answer
                return
        assert ensure_runtime(name, context=self.sweeper.context).state == "awake"

    def chat(self, name: str, seconds: float, through: float) -> None:
        """Request an agent and talk with it at once, before it may be stopped again."""
        self.ensure(name, through)
        got = time.monotonic()
        with self.race_fleet.locks[name]:
            if time.monotonic() - got < 1:
                self.race_fleet.begin_chat(name, seconds)
                self.did["talks"] += 1

    def settle(self) -> None:
        """Wait for everything that was begun, and end all chats."""
        for each in self.begun:
            each.result(timeout=120)
        for name in NAMES:
            self.race_fleet.end_chat(name)


@pytest.fixture
def race_fleet() -> Iterator[RaceFleet]:
    """Yield the families, on a Docker daemon of their own."""
    missing = OwnDocker.missing() or (None if stub_agent.busybox() else "no busybox; apt-get install busybox-static")
    if missing:
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="fleet-race-") as folder:  # a socket's path is short
        own = OwnDocker(Path(folder))
        try:
            own.start()
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("DOCKER_HOST", own.host)
                made = RaceFleet(own, Path(folder))
                yield made
                made.beside.close()
                made.client.close()
        finally:
            own.remove()
            gc.collect()  # the dropped sockets are of this test, not of the next one


@contextlib.contextmanager
def race(race_fleet: RaceFleet, port: int, seed: int, *options: str) -> Iterator[Race]:
    """Let the reaper run beside the fleet."""
    about_to_stop: queue.SimpleQueue[str] = queue.SimpleQueue()
    command = ("-m", "tests.support.reaper.slow_reaper", *options)

    def heard(line: str) -> None:
        if line in NAMES:  # the other lines are its log
            about_to_stop.put(line)

    with (
        daemon(race_fleet.beside, port, command, heard) as running,
        ThreadPoolExecutor(24) as pool,
    ):
        yield Race(race_fleet, running, random.Random(seed), pool, about_to_stop)  # noqa: S311 - a test's dice


def test_no_busy_family_is_stopped_and_none_is_lost(race_fleet: RaceFleet, unused_port: int) -> None:
    """Heartbeats, chats, requests, sweeps, rolls in mid-stop, a killed reaper, a restarted daemon, all at once.

    FLEET_RACE_SEED repeats the dice of a run.
    """
    seed = int(os.environ.get("FLEET_RACE_SEED") or random.SystemRandom().randrange(2**32))
    print(f"FLEET_RACE_SEED={seed}")  # noqa: T201 - to run it again
    with race(race_fleet, unused_port, seed, "0.5") as going:
        kills = set(going.dice.sample(range(10, ROUNDS), 4))
        restarts = set(going.dice.sample(range(10, ROUNDS), 2))
        awake = list(NAMES)
        for number in range(ROUNDS):
            if number % 28 == 0:
                awake = going.dice.sample(NAMES, 2)
            if number in kills:
                going.running.program.kill()
                going.running.program.start()
            if number in restarts:
                race_fleet.restart_docker()
            going.round(awake)
            assert race_fleet.cut_off() == [], (seed, number)
        going.settle()
        assert race_fleet.cut_off() == [], seed
        print(dict(going.did))  # noqa: T201 - what a run was made of
        assert going.did["candidates"] > 5, f"{seed}: this was no race: {going.did}"
        assert going.did["talks"] > 5, f"{seed}: this was no race: {going.did}"

        for name in NAMES:
            assert going.running.post("heartbeat", name)[0] == 200, seed
        until(
            lambda: all(race_fleet.container(name).status == "running" for name in NAMES), 90, lambda: (seed, going.did)
        )
        for name in NAMES:
            assert race_fleet.container(name).labels["hermes.fleet/id"] == str(race_fleet.id(name))
            going.ensure(name, 1.0)
        until(lambda: going.sweeper.context.store.holders() == set(), 90, lambda: (seed, "a lease is stuck"))


def test_without_the_second_reading_a_chat_is_cut_off(race_fleet: RaceFleet, unused_port: int) -> None:
    """The same fleet, with a reaper that acts on its first reading: it must fail, or the race proves nothing."""
    with race(race_fleet, unused_port, 1, "2", "--one-reading") as going:
        deadline = time.monotonic() + 60
        while not race_fleet.cut_off() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                going.do("chat", going.about_to_stop.get(timeout=1))
        going.settle()
        assert race_fleet.cut_off()
