"""Two hundred rounds of everything at once: no busy family is stopped, no request is lost, no lease remains."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fleet.errors import FleetError
from fleet.host.activity import Activity
from fleet.host.cron import CronReading
from reaper.context import Context
from reaper.sweep import stop
from reaper.sweep.probe import Decided
from reaper.sweep.sweeper import Sweeper
from reaper.wake.runtime import WakeError
from reaper.wake.waker import Waker
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper

ROUNDS = 200
IDLE_AFTER = 60
FAMILIES = ("ash", "birch", "cedar")
# A seed with many stops. Other seeds may have few: chance alone keeps their families awake.
EVENTFUL = 1


@dataclass
class Simulation:
    """Random events between the reaper's steps, repeatable by the seed."""

    reaper: ReaperUnderTest
    dice: random.Random
    chatting: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(FAMILIES, False))
    cut_off: list[str] = field(default_factory=list)
    replaced: int = 0

    def id(self, name: str) -> UUID:
        """Return a family's id."""
        return self.reaper.context.families.current().get(name).id

    def chat(self, name: str, *, going: bool) -> None:
        """Begin or end a chat; it can begin only with a running agent."""
        container = self.reaper.container(name)
        self.chatting[name] = going and container.state == "running"
        container.activity = Activity(0.0, inbound=int(self.chatting[name]))

    def replace(self, name: str) -> None:
        """Roll one family: a new container in the same state, without a chat."""
        old = self.reaper.container(name)
        self.replaced += 1
        self.chatting[name] = False
        self.reaper.engine.add(
            self.id(name), id=f"{self.replaced:064x}", state=old.state, port=old.port, started=old.started
        )

    def happen(self) -> None:
        """Let a random event happen, or none."""
        name = self.dice.choice(FAMILIES)
        event = self.dice.random()
        if event < 0.10:
            self.chat(name, going=True)
        elif event < 0.12:
            self.reaper.context.store.record_activity(self.id(name), "heartbeat", self.reaper.clock.wall)
        elif event < 0.14:
            self.replace(name)
        elif event < 0.15:
            self.reaper.engine.fail["stop"] = FleetError("the daemon restarts")
        else:
            self.reaper.engine.fail.clear()

    def stopping(self) -> None:
        """Record a busy family that is about to be stopped; called before each stop."""
        for name in filter(self._is_target, FAMILIES):
            beat = self.reaper.context.store.row(self.id(name)).heartbeat
            if self.chatting[name] or (beat is not None and self.reaper.clock.wall - beat < IDLE_AFTER):
                self.cut_off.append(f"{name} at {self.reaper.clock.wall}")

    def _is_target(self, name: str) -> bool:
        return (
            str(self.id(name)) in self.reaper.context.store.holders() and self.reaper.container(name).state == "running"
        )


class WakerAtOnce(Waker):
    """Wakes before it returns, so that no other thread runs between a stop's reading and the stop."""

    def ensure_later(self, *args: Any, **named: Any) -> None:
        """Wake a family."""
        super().ensure_later(*args, **named)
        self.wait()


def run(tmp_path: Path, patched: pytest.MonkeyPatch, seed: int) -> Simulation:
    """Run the rounds and return the simulation."""
    reaper = make_reaper(
        tmp_path, [family(name, sleep={"idle_after": IDLE_AFTER}) for name in FAMILIES], sweep_every=10
    )
    simulation = Simulation(reaper, random.Random(seed))  # noqa: S311 - a test's dice
    for at, container in enumerate(reaper.engine.containers.values()):
        container.port, container.next_run = 4000 + at, CronReading()
    stop_family = stop.stop_family

    def later(context: Context, first: Decided) -> Decided:
        for _ in range(3):
            simulation.happen()
        return stop_family(context, first)

    patched.setattr("reaper.wake.operation.healthy", lambda *_: True)
    patched.setattr("reaper.sweep.stop._WORKERS", 1)
    patched.setattr("reaper.sweep.stop.stop_family", later)
    waker = WakerAtOnce(reaper.context)
    sweeper = Sweeper(reaper.context, waker)
    reaper.engine.before |= {"inspect": simulation.happen, "activity": simulation.happen, "stop": simulation.stopping}
    for number in range(ROUNDS):
        reaper.clock.pass_time(simulation.dice.choice((5, 20, 70)))
        if simulation.dice.random() < 0.02:
            reaper.clock.wall += simulation.dice.choice((-4000, 4000))  # the clock is set
        if simulation.dice.random() < 0.05:
            sweeper = Sweeper(reaper.context, waker)  # the reaper was killed and runs again
            sweeper.sweep(resumed=False)
        sweeper.sweep()
        name = simulation.dice.choice(FAMILIES)
        if simulation.dice.random() < 0.3:
            simulation.chat(name, going=False)
        if simulation.dice.random() < 0.3:
            try:
                runtime = waker.ensure(reaper.context.families.current().get(name))
            except WakeError as error:
                pytest.fail(f"round {number}: {error}")
            assert runtime.url, number
            assert reaper.container(name).state == "running", f"round {number}: returned while it is stopped"
    return simulation


@pytest.mark.parametrize("seed", [EVENTFUL, random.SystemRandom().randrange(2**32)], ids=["eventful", "any"])
def test_no_busy_family_is_stopped_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Chats, heartbeats, requests, rolls during stops, failing stops, clocks that are set, restarts of the reaper."""
    simulation = run(tmp_path, monkeypatch, seed)
    assert simulation.cut_off == [], f"seed {seed}"
    store, engine = simulation.reaper.context.store, simulation.reaper.engine
    assert store.holders() == set(), f"seed {seed}"
    assert seed != EVENTFUL or len(engine.did("stop")) > 5, "too few stops for a race"
    engine.before.clear()
    engine.fail.clear()
    for name in FAMILIES:
        store.record_activity(simulation.id(name), "heartbeat", simulation.reaper.clock.wall)
    sweeper = Sweeper(simulation.reaper.context, Waker(simulation.reaper.context))
    sweeper.sweep()
    sweeper.waker.wait()
    assert {container.state for container in engine.containers.values()} == {"running"}, f"seed {seed}"


def test_without_the_second_reading_a_chat_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same race without a second reading must fail, or the race above proves nothing."""
    monkeypatch.setattr(stop, "second_reading", lambda _, first: first)
    simulation = run(tmp_path, monkeypatch, EVENTFUL)
    assert simulation.cut_off
