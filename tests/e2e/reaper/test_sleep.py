"""Who is idle is stopped on real Docker, who is busy or cannot be read is not, and everything has its reason."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleet import naming
from reaper.policy.facts import Limits
from reaper.sweep import stop
from reaper.sweep.probe import read_candidate
from reaper.sweep.stop import Stopped
from tests.support.reaper.acting import ActingFleet
from tests.support.reaper.sweeps import candidate


def test_the_idle_are_stopped_the_busy_are_not_and_pulumi_sees_no_change(awake: ActingFleet) -> None:
    """The idle family drains and sleeps, not before its time; the busy one stays; nothing of it is drift."""
    awake.does("birch", inbound=1)
    first = awake.beside.swept()
    assert {row["reason"] for name, row in first.items() if name != "cedar"} == {"grace"}
    assert awake.state("ash") == "running"
    time.sleep(awake.defaults["sleep"]["idle_after"] + 0.5)
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
    fleet.beside.context().store.record_activity(fleet.id("ash"), "heartbeat", time.time())


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
    awake.does("ash", "activity.1")
    awake.does("ash", inbound=1)
    first = read_candidate(context, family, candidate(context, "ash").container_id, 0.0)
    assert first.decision.reason.code == "idle"
    outcome = stop.stop_family(context, first)
    assert (outcome.done, outcome.decision.reason.code) == (Stopped.BUSY, "inbound")
    assert awake.state("ash") == "running"
    assert context.store.holders() == set()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stop, "second_reading", lambda *_: first)
        assert stop.stop_family(context, first).done == Stopped.DONE
    assert awake.state("ash") == "exited"


def test_a_container_of_another_id_is_not_stopped(awake: ActingFleet) -> None:
    """A stop goes to the container that was read, not to another one that has its name by then."""
    awake.beside.has_watched()
    context = awake.beside.context()
    gone = replace(candidate(context, "ash"), container_id="0" * 64)
    assert stop.stop_family(context, gone).done == Stopped.REPLACED
    assert awake.state("ash") == "running"


def test_unmanaged_containers_are_left_alone(awake: ActingFleet, stub_image: str) -> None:
    """A container under a family's name that this stack did not make is neither stopped nor started."""
    awake.declare("stranger")
    name = naming.container_name(awake.id("stranger"))
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
