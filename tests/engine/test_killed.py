"""A killed `up` loses nothing, whenever it is killed."""

import itertools
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet import naming
from tests.support.docker.docker_events import watched
from tests.support.fleet.fleet import FleetUnderTest
from tests.support.pulumi.pulumi_stack import NEW_KEY, Provider, PulumiStack

MEMORY = "do not forget"
# None of them is what a fleet begins with.
KEYS = itertools.cycle([NEW_KEY, "sk-test-PLANTED/third+key=0003"])

# Docker's word for what has just happened to the container, and the seconds to go on after it.
# The last one leaves ash asleep.
STEPS = {
    "waiting": ("start", 1.0),
    "started": ("start", 0.0),
    "created": ("create", 0.0),
    "deleted": ("destroy", 0.0),
}


def kill(fleet: FleetUnderTest, name: str, action: str, seconds: float = 0.0) -> None:
    """Begin an `up`, and kill all of Pulumi `seconds` after Docker told of an action on what has this name."""
    reached = threading.Event()

    def take(_name: str, told: str, _at: float) -> None:
        if told == action:
            reached.set()

    with watched(fleet.client, [name], take):
        process = fleet.stack.process("up", "--yes", "--skip-preview")
        in_time = reached.wait(120)
        time.sleep(seconds)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    assert in_time, said
    fleet.stack.remove_empty_attributes()


def kill_roll(fleet: FleetUnderTest, step: str) -> None:
    """Roll a new key out, and kill all of Pulumi once the roll of ash has come to a step."""
    fleet.stack.configure({}, {"llmApiKey": next(KEYS)})
    kill(fleet, fleet.resource("ash"), *STEPS[step])


@pytest.fixture(scope="module")
def slow(new_fleet: Callable[[], FleetUnderTest]) -> FleetUnderTest:
    """Return two families that roll one after the other, the first one slowly."""
    fleet = new_fleet()
    fleet.declare("ash", "birch")
    fleet.up()
    fleet.put("ash", "memory.txt", MEMORY)
    fleet.put("ash", "slow", "3")
    fleet.stack.configure({"rollout.wave_size": "1"})
    return fleet


def heal(fleet: FleetUnderTest) -> None:
    """Run the two commands that the manual gives, and then `up`."""
    fleet.stack.run("cancel", "--yes", check=True)
    options = ("--yes", "--clear-pending-creates", "--skip-preview", "--config-file", str(fleet.stack.config_file))
    fleet.stack.run("refresh", *options, check=True)
    fleet.up()


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_up_is_finished_by_the_next(slow: FleetUnderTest, step: str) -> None:
    """SIGKILL between any two steps loses nothing; after the two printed commands the next `up` finishes the roll."""
    before = slow.ids()
    kill_roll(slow, step)
    heal(slow)
    assert (slow.data("ash") / "memory.txt").read_text() == MEMORY
    after = slow.ids()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert slow.state("birch") == "running"
    assert slow.state("ash") in ({"running", "created"} if step == "deleted" else {"running"})
    assert slow.silent()


def test_a_first_up_that_is_killed_beside_its_new_network_is_finished_by_the_next(fleet: FleetUnderTest) -> None:
    """The network is the first thing that is made, and the engine may not have written so down yet."""
    fleet.declare("ash")
    kill(fleet, naming.network_name(fleet.stack.name), "create")
    heal(fleet)
    # Where the kill came late, its volume was there, and it counts as a family that came back.
    assert fleet.state("ash") in {"running", "created"}
    assert fleet.silent()


def test_a_killed_up_leaves_a_lock_that_says_how_to_go_on(slow: FleetUnderTest) -> None:
    """The next `up` does not begin, and names the command that takes the lock away."""
    kill_roll(slow, "deleted")
    locked = slow.up(code=None)
    assert locked.code != 0
    assert "pulumi cancel" in locked.text
    heal(slow)


def test_a_state_beside_empty_attributes_is_whole(tmp_path: Path, provider: Provider) -> None:
    """What a kill in the middle of a write can leave stops Pulumi with a riddle, and is removed without loss."""
    stack = PulumiStack(tmp_path, f"test-{secrets.token_hex(4)}", provider)
    stack.state_file.with_name(f"{stack.name}.json.attrs").touch()
    assert "failed to load checkpoint: EOF" in stack.run("stack").text
    stack.remove_empty_attributes()
    stack.run("stack", check=True)
