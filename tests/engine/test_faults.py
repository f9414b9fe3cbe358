"""What goes wrong around a roll is said clearly, and nothing is lost by it."""

import os
import signal
import time
import uuid
from collections.abc import Callable

import pytest
from docker.errors import NotFound

from fleet import identity
from tests.support.fleet import FleetUnderTest
from tests.support.pulumi_stack import NEW_KEY


def refused(fleet: FleetUnderTest, *said: str) -> None:
    """Check that `up` does not begin, says why, and touches no container."""
    before = fleet.ids()
    run = fleet.up(code=None)
    assert run.code != 0
    for words in said:
        assert words in run.text
    assert "Traceback" not in run.text
    assert fleet.ids() == before


def test_a_bad_registry_is_refused_with_every_problem(fleet: FleetUnderTest) -> None:
    """Nothing is planned from a bad registry; each problem stands with its line."""
    fleet.declare("ash")
    fleet.up()
    fleet.entry("ash").update(timezone="Europ/London", colour="blue")
    fleet.write()
    refused(fleet, "did you mean 'Europe/London'?", "families[0] (ash).colour", "families.yaml:")


def test_a_bad_config_is_refused_with_every_problem(fleet: FleetUnderTest) -> None:
    """Missing and malformed keys are named with the line that mends them."""
    fleet.declare("ash")
    fleet.up()
    fleet.stack.configure({"hermesLine": "0.18", "rollout.wave_size": "0"})
    refused(
        fleet,
        "hermes-fleet:hermesLine: '0.18' is not 0.15 or 0.19",
        "hermes-fleet:rollout.wave_size",
        "pulumi config set",
    )


def test_a_missing_plugin_directory_is_refused(fleet: FleetUnderTest) -> None:
    """The daemon would make an empty directory of it, and every agent would lose its plugins."""
    fleet.declare("ash")
    fleet.up()
    fleet.stack.configure({"pluginsDir": str(fleet.folder / "nowhere")})
    refused(fleet, str(fleet.folder / "nowhere"))


def test_an_unreachable_daemon_is_said_at_once(fleet: FleetUnderTest) -> None:
    """`up` fails before anything is registered, and names the way to start a daemon."""
    fleet.declare("ash")
    fleet.stack.docker_host = f"unix://{fleet.folder}/no.sock"
    run = fleet.up(code=None)
    assert run.code != 0
    assert "no daemon answers" in run.text
    assert "make docker" in run.text
    assert run.changed.get("create", 0) <= 1  # the stack itself


def test_an_image_that_cannot_be_had_deletes_nothing(fleet: FleetUnderTest) -> None:
    """The image is looked for first: without it the old containers keep running."""
    fleet.declare("ash")
    fleet.up()
    fleet.stack.configure({"image": "127.0.0.1:9/no/such-image:1"})
    refused(fleet, "image 127.0.0.1:9/no/such-image:1", "no container was touched")
    assert fleet.state("ash") == "running"


def test_a_stranger_under_a_familys_name_is_left_alone(fleet: FleetUnderTest) -> None:
    """A container that this stack did not make stops the roll, and is not touched."""
    fleet.declare("ash")
    stranger = fleet.client.containers.run(fleet.image, ["sleep", "600"], name=fleet.resource("ash"), detach=True)
    refused(fleet, "ash: container hermes-user-", "python -m fleet adopt")
    stranger.reload()
    assert stranger.status == "running"


def test_a_volume_of_the_right_name_is_taken_over_with_a_notice(fleet: FleetUnderTest) -> None:
    """Data that was there before is used, and the operator is told."""
    fleet.declare("ash")
    fleet.client.volumes.create(fleet.volume("ash"))
    fleet.put("ash", "memory.txt", "from before")
    assert "its data is used" in fleet.up().text
    assert (fleet.data("ash") / "memory.txt").read_text() == "from before"


def test_a_changed_id_is_refused(fleet: FleetUnderTest) -> None:
    """The same name with another id would orphan the family's data."""
    fleet.declare("ash")
    fleet.up()
    old = fleet.entry("ash")["id"]
    fleet.entry("ash")["id"] = str(uuid.uuid4())
    fleet.write()
    run = fleet.up(code=None)
    assert run.code != 0
    assert f"Put id {old} back" in run.text
    fleet.entry("ash")["id"] = old
    assert fleet.state("ash") == "running"


def test_an_older_hermes_line_is_refused(fleet: FleetUnderTest) -> None:
    """A family that ran 0.19 is not put back on 0.15: its database does not go back."""
    fleet.declare("ash")
    fleet.up()
    fleet.stack.configure({"hermesLine": "0.15"})
    refused(fleet, "ash: hermesLine: runs Hermes 0.19", "its database does not go back")


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


@pytest.mark.parametrize("step", [deleted, created, started, waiting], ids=lambda step: step.__name__)
def test_a_killed_up_is_finished_by_the_next(
    fleet: FleetUnderTest, step: Callable[[FleetUnderTest, str], bool]
) -> None:
    """SIGKILL between any two steps loses nothing; after the two printed commands the next `up` finishes the roll."""
    fleet.declare("ash", "birch", "cedar")
    fleet.up()
    fleet.put("ash", "memory.txt", "do not forget")
    fleet.put("ash", "slow", "3")
    before = fleet.ids()
    fleet.stack.configure({"rollout.wave_size": "1"}, {"llmApiKey": NEW_KEY})
    process = fleet.stack.process("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 120
    while not step(fleet, before["ash"]):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    locked = fleet.up(code=None)
    assert locked.code != 0
    assert "pulumi cancel" in locked.text
    fleet.stack.run("cancel", "--yes", check=True)
    options = ("--yes", "--clear-pending-creates", "--skip-preview", "--config-file", str(fleet.stack.config_file))
    fleet.stack.run("refresh", *options, check=True)
    fleet.up()
    assert (fleet.data("ash") / "memory.txt").read_text() == "do not forget"
    after = fleet.ids()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert [fleet.state(name) for name in ("birch", "cedar")] == ["running", "running"]
    assert fleet.state("ash") in ({"running", "created"} if step is deleted else {"running"})
    assert fleet.silent()


def test_a_leftover_of_somebody_else_is_never_removed(fleet: FleetUnderTest) -> None:
    """Only a container with this stack's and this family's labels is a leftover; others make the create fail."""
    fleet.declare("ash")
    labels = identity.family_labels("another-stack", "ash", fleet.id("ash"))
    stranger = fleet.client.containers.create(fleet.image, ["true"], name=fleet.resource("ash"), labels=labels)
    refused(fleet, "belongs to stack another-stack")
    stranger.reload()
