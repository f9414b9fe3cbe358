"""What goes wrong around a roll is said clearly, and nothing is lost by it."""

import contextlib
import copy
import subprocess
import uuid
from collections.abc import Callable, Iterator

import pytest
from docker.models.containers import Container
from docker.models.networks import Network

from fleet import naming
from tests.support.fleet.fleet import FleetUnderTest


@pytest.fixture(scope="module")
def settled(new_fleet: Callable[[], FleetUnderTest]) -> FleetUnderTest:
    """Return one family that is awake."""
    fleet = new_fleet()
    fleet.declare("ash")
    fleet.up()
    return fleet


@pytest.fixture
def up(settled: FleetUnderTest) -> Iterator[FleetUnderTest]:
    """Yield that family; what a test declares or configures is taken back, as no `up` does it."""
    config, families = settled.stack.config_file.read_text(), copy.deepcopy(settled.families)
    yield settled
    settled.stack.config_file.write_text(config)
    settled.families = families
    settled.stack.docker_host = None
    settled.write()


def refused(fleet: FleetUnderTest, *said: str) -> None:
    """Check that `up` does not begin, says why, and touches no container."""
    before = fleet.ids()
    run = fleet.up(code=None)
    assert run.code != 0
    for words in said:
        assert words in run.text
    assert "Traceback" not in run.text
    assert fleet.ids() == before
    assert fleet.state("ash") == "running"


@contextlib.contextmanager
def unmanaged(fleet: FleetUnderTest, name: str, **labels: str) -> Iterator[Container]:
    """Run a container under a family's name inside the block, as if it had been started by hand."""
    made = fleet.client.containers.run(
        fleet.image, ["sleep", "600"], name=fleet.resource(name), labels=labels, network_mode="none", detach=True
    )
    try:
        yield made
    finally:
        made.remove(force=True)


def network(fleet: FleetUnderTest, labels: dict[str, str]) -> Network:
    """Make a network under the name of the stack's."""
    return fleet.client.networks.create(naming.network_name(fleet.stack.name), labels=labels)


def test_a_bad_registry_is_refused_with_every_problem(up: FleetUnderTest) -> None:
    """Nothing is planned from a bad registry; each problem stands with its line."""
    up.entry("ash").update(timezone="Europ/London", colour="blue")
    up.write()
    refused(up, "did you mean 'Europe/London'?", "families[0] (ash).colour", "families.yaml:")


def test_a_bad_config_is_refused_with_every_problem(up: FleetUnderTest) -> None:
    """Missing and malformed keys are named with the line that fixes them."""
    up.stack.configure({"hermesLine": "0.18", "rollout.wave_size": "0"})
    refused(
        up,
        "hermes-fleet:hermesLine: '0.18' is not 0.15 or 0.19",
        "hermes-fleet:rollout.wave_size",
        "pulumi config set",
    )


def test_a_missing_plugin_directory_is_refused(up: FleetUnderTest) -> None:
    """The daemon would make an empty directory of it, and every agent would lose its plugins."""
    up.stack.configure({"pluginsDir": str(up.folder / "nowhere")})
    refused(up, str(up.folder / "nowhere"))


def test_an_unreachable_daemon_is_said_at_once(up: FleetUnderTest) -> None:
    """`up` fails before anything is registered, and names the way to start a daemon."""
    up.declare("birch")
    up.stack.docker_host = f"unix://{up.folder}/no.sock"
    run = up.up(code=None)
    assert run.code != 0
    assert "no daemon answers" in run.text
    assert "make docker" in run.text
    assert run.changed == {}


def test_an_image_that_cannot_be_had_deletes_nothing(up: FleetUnderTest) -> None:
    """The image is looked for first: without it the old containers keep running."""
    up.stack.configure({"image": "127.0.0.1:9/no/such-image:1"})
    refused(up, "image 127.0.0.1:9/no/such-image:1", "no container was touched")


def test_all_that_forbids_a_roll_is_said_at_once(up: FleetUnderTest) -> None:
    """Containers that this stack did not make stop the roll and are not touched; nor is a family put on an older line.

    Nor does it begin with more processors than there are: Docker would say so once the old container is gone.
    Only a container with this stack's and this family's labels is one that an interrupted update of ours left.
    """
    up.stack.configure({"hermesLine": "0.15"})
    up.entry("ash")["resources"] = {"cpus": 1000}
    up.declare("birch", "cedar")
    other = naming.family_labels("another-stack", "cedar", up.id("cedar"))
    with unmanaged(up, "birch") as unlabelled, unmanaged(up, "cedar", **other) as labelled:
        refused(
            up,
            "birch: container hermes-user-",
            "python -m fleet adopt",
            "belongs to stack another-stack",
            "ash: hermesLine: runs Hermes 0.19",
            "its database does not go back",
            "ash: resources.cpus: 1000 is more than this Docker host has",
        )
        for there in (unlabelled, labelled):
            there.reload()
            assert there.status == "running"


def test_a_changed_id_is_refused(up: FleetUnderTest) -> None:
    """The same name with another id would orphan the family's data."""
    old, container = up.entry("ash")["id"], up.container("ash")
    up.entry("ash")["id"] = str(uuid.uuid4())
    up.write()
    run = up.up(code=None)
    assert run.code != 0
    assert f"put id {old} back" in run.text
    container.reload()
    assert container.status == "running"


def test_a_volume_of_the_right_name_is_taken_over_with_a_notice(fleet: FleetUnderTest) -> None:
    """Data that was there before is used, and the operator is told."""
    fleet.declare("ash")
    fleet.client.volumes.create(fleet.volume("ash"))
    fleet.put("ash", "memory.txt", "from before")
    assert "its data is used" in fleet.up().text
    assert (fleet.data("ash") / "memory.txt").read_text() == "from before"


def test_a_network_that_an_up_left_makes_way(fleet: FleetUnderTest) -> None:
    """One with this stack's label that nothing is on may be all that a killed `up` leaves; it is made anew."""
    fleet.declare("ash")
    left = network(fleet, {naming.LABEL_STACK: fleet.stack.name})
    assert f"removed the network {left.name}" in fleet.up().text
    assert fleet.state("ash") == "running"
    assert fleet.silent(refreshed=True)


def test_an_unmanaged_network_stops_up_before_anything_is_made(fleet: FleetUnderTest) -> None:
    """It is named and left alone; once it is gone, new families are still new, and come up awake."""
    fleet.declare("ash")
    strange = network(fleet, {})
    run = fleet.up(code=None)
    assert run.code != 0
    assert f"network {strange.name}: was not made by this stack" in run.text
    assert f"docker network rm {strange.name}" in run.text
    strange.reload()
    strange.remove()
    fleet.up()
    assert fleet.state("ash") == "running"


def test_a_fleet_whose_state_was_lost_is_made_anew_by_the_line_that_up_prints(fleet: FleetUnderTest) -> None:
    """A network with agents on it is not touched; cut off as told, the awake come up gated, sleepers stay asleep."""
    empty = fleet.stack.state_file.read_bytes()
    fleet.declare("ash", "birch")
    fleet.up()
    fleet.put("ash", "memory.txt", "do not forget")
    fleet.container("birch").stop()
    before = fleet.ids()
    fleet.stack.state_file.write_bytes(empty)

    refused(fleet, f"in use by {fleet.resource('ash')};")
    name = naming.network_name(fleet.stack.name)
    fix = f"for each in {fleet.resource('ash')}; do docker network disconnect -f {name} $each; done"
    assert fix in fleet.up(code=None).text
    subprocess.run(["sh", "-c", fix], check=True)
    fleet.up()
    assert [fleet.state(each) for each in ("ash", "birch")] == ["running", "created"]
    assert not set(before.values()) & set(fleet.ids().values())
    assert (fleet.data("ash") / "memory.txt").read_text() == "do not forget"
    assert fleet.silent()
