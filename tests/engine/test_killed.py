"""A killed `up` loses nothing, whenever it is killed."""

import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.errors import NotFound

from tests.support.fleet import FleetUnderTest
from tests.support.pulumi_stack import Provider, PulumiStack

MEMORY = "do not forget"


def deleted(fleet: FleetUnderTest, before: str) -> bool:
    """Tell whether the old container is gone."""
    try:
        fleet.client.containers.get(before)
    except NotFound:
        return True
    return False


def created(fleet: FleetUnderTest, before: str) -> bool:
    """Tell whether a new container stands under the name."""
    return fleet.ids().get("ash") not in {None, before}


def started(fleet: FleetUnderTest, before: str) -> bool:
    """Tell whether the new container runs."""
    return created(fleet, before) and fleet.state("ash") == "running"


def waiting(fleet: FleetUnderTest, before: str) -> bool:
    """Tell whether the new container has been running for a moment."""
    if not started(fleet, before):
        return False
    time.sleep(1)
    return True


@pytest.fixture(scope="module")
def slow(new_fleet: Callable[[], FleetUnderTest]) -> FleetUnderTest:
    """Return three families that roll one after the other, the first one slowly."""
    fleet = new_fleet()
    fleet.declare("ash", "birch", "cedar")
    fleet.up()
    fleet.put("ash", "memory.txt", MEMORY)
    fleet.put("ash", "slow", "3")
    fleet.stack.configure({"rollout.wave_size": "1"})
    return fleet


# The last one leaves ash asleep.
@pytest.mark.parametrize("step", [waiting, started, created, deleted], ids=lambda step: step.__name__)
def test_a_killed_up_is_finished_by_the_next(slow: FleetUnderTest, step: Callable[[FleetUnderTest, str], bool]) -> None:
    """SIGKILL between any two steps loses nothing; after the two printed commands the next `up` finishes the roll."""
    before = slow.ids()
    slow.stack.configure({}, {"llmApiKey": f"sk-test-PLANTED/{step.__name__}"})
    process = slow.stack.process("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 120
    while not step(slow, before["ash"]):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    slow.stack.mend_attributes()

    locked = slow.up(code=None)
    assert locked.code != 0
    assert "pulumi cancel" in locked.text
    slow.stack.run("cancel", "--yes", check=True)
    options = ("--yes", "--clear-pending-creates", "--skip-preview", "--config-file", str(slow.stack.config_file))
    slow.stack.run("refresh", *options, check=True)
    slow.up()
    assert (slow.data("ash") / "memory.txt").read_text() == MEMORY
    after = slow.ids()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert [slow.state(name) for name in ("birch", "cedar")] == ["running", "running"]
    assert slow.state("ash") in ({"running", "created"} if step is deleted else {"running"})
    assert slow.silent()


def test_a_state_beside_empty_attributes_is_whole(tmp_path: Path, provider: Provider) -> None:
    """What a kill in the middle of a write can leave stops Pulumi with a riddle, and is removed without loss."""
    stack = PulumiStack(tmp_path, f"test-{secrets.token_hex(4)}", provider)
    (state,) = (tmp_path / "state").rglob(f"{stack.name}.json")
    state.with_name(f"{state.name}.attrs").touch()
    assert "failed to load checkpoint: EOF" in stack.run("stack").text
    stack.mend_attributes()
    stack.run("stack", check=True)
