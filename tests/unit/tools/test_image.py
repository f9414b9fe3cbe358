import os
import signal
from pathlib import Path

import pytest

from tests.support.setup.machine import Machine
from tests.support.waiting import until

UPSTREAM = "registry.example/hermes-agent:v1"


def pick(machine: Machine) -> str:
    """Return the recorded choice."""
    return (machine.repository / ".state/image").read_text().strip()


def test_upstreams_image_is_taken_where_it_can_be_pulled(machine: Machine) -> None:
    """The choice is kept."""
    machine.command("docker", '[ "$1" = pull ]')
    answer = machine.run("tools/image.sh", "pick", HERMES_FLEET_UPSTREAM_IMAGE=UPSTREAM)
    assert answer.code == 0, answer.stderr
    assert f"{UPSTREAM} (pulled)" in answer.stdout
    assert pick(machine) == f"{UPSTREAM} 0.19"
    machine.command("docker", '[ "$1" = image ]')
    again = machine.run("tools/image.sh", "pick", HERMES_FLEET_UPSTREAM_IMAGE=UPSTREAM)
    assert (again.code, again.stdout) == (0, "")
    assert (machine.repository / ".state/image").stat().st_mode & 0o777 == 0o600


def test_a_fleet_on_upstreams_image_keeps_it(machine: Machine) -> None:
    """An image that can no longer be pulled is an error: a local one may be older than the agents' data."""
    machine.command("docker", '[ "$1" = pull ]')
    machine.run("tools/image.sh", "pick", HERMES_FLEET_UPSTREAM_IMAGE=UPSTREAM)
    machine.command("docker", "echo 'dial tcp: no such host' >&2; exit 1")
    answer = machine.run("tools/image.sh", "pick", HERMES_FLEET_UPSTREAM_IMAGE=UPSTREAM)
    assert answer.code == 1
    assert "no such host" in answer.stderr
    assert pick(machine) == f"{UPSTREAM} 0.19"


@pytest.mark.parametrize("line", ["  hermes-fleet:image: own/agent:1\n", '  hermes-fleet:image: "own/agent:1"\n'])
def test_an_image_in_the_config_is_the_operators_choice(machine: Machine, line: str) -> None:
    """Nothing is pulled or built for a stack that names its image."""
    (machine.repository / "stacks/Pulumi.dev.yaml").write_text(f"config:\n{line}")
    machine.command("docker", "exit 1")
    answer = machine.run("tools/image.sh", "pick")
    assert answer.code == 0, answer.stderr
    assert machine.called("docker") == []
    assert not (machine.repository / ".state/image").exists()


def test_without_registry_or_debian_the_fix_is_to_name_an_image(machine: Machine) -> None:
    """Only Debian and Ubuntu machines can build the local image."""
    machine.os_release.write_text("ID=fedora\n")
    machine.command("docker", "echo 'dial tcp: no such host' >&2; exit 1")
    answer = machine.run("tools/image.sh", "pick", HERMES_FLEET_UPSTREAM_IMAGE=UPSTREAM)
    assert answer.code == 1
    assert f"{UPSTREAM} cannot be pulled" in answer.stdout
    assert "pulumi config set hermes-fleet:image" in answer.stderr
    assert not (machine.repository / ".state/image").exists()
    assert machine.unfinished() == []


def test_a_base_on_a_full_disk(machine: Machine) -> None:
    """The message has the builder's error; nothing is imported, and no scratch folder stays."""
    machine.user(0)
    machine.command("docker", '[ "$1" = import ]')
    machine.command("dpkg", "echo amd64")
    machine.command("apt-config", "exit 0")
    machine.command("mmdebstrap", "echo 'E: tar: Cannot write: No space left on device' >&2; exit 1")
    answer = machine.run("tools/image.sh", "build")
    assert answer.code == 1
    assert "No space left on device" in answer.stderr
    assert not [call for call in machine.called("docker") if call.startswith("import")]
    assert machine.unfinished() == []


def test_building_without_root_needs_newuidmap_and_user_ids(machine: Machine, tmp_path: Path) -> None:
    """Each missing part has its own fix."""
    machine.command("docker", '[ "$1" = import ]')
    machine.command("dpkg", "echo amd64")
    machine.command("apt-config", "exit 0")
    subuid = tmp_path / "subuid"
    subuid.write_text("another:100000:65536\n")
    answer = machine.run("tools/image.sh", "build", SUBUID=str(subuid))
    assert "apt-get install --yes --no-install-recommends mmdebstrap uidmap" in answer.stderr
    machine.command("mmdebstrap", "echo 'E: no such suite' >&2; exit 1")
    machine.command("newuidmap", "exit 0")
    answer = machine.run("tools/image.sh", "build", SUBUID=str(subuid))
    assert "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 operator" in answer.stderr
    assert machine.called("mmdebstrap") == []
    for line in ("operator:100000:65536\n", "1000:100000:65536\n"):
        subuid.write_text(line)
        assert "no such suite" in machine.run("tools/image.sh", "build", SUBUID=str(subuid)).stderr


def test_an_unknown_variant_is_refused(machine: Machine) -> None:
    """The message lists the variants; nothing is built."""
    answer = machine.run("tools/image.sh", "build", "0.19.0", "0.99.0")
    assert answer.code == 1
    assert "unknown image variant '0.99.0'" in answer.stderr
    assert "0.15.1-s6" in answer.stderr


def test_ctrl_c_ends_a_pull_at_once(machine: Machine) -> None:
    """The interrupted pull exits with 1 by itself, which is not taken for the registry's error."""
    # Short sleeps: bash may lose a signal to the child that it is forking, and then handles it after that child.
    waiting = 'trap "exit 1" INT; touch begun; while :; do sleep 0.1; done'
    machine.command("docker", f'if [ "$1" = pull ]; then {waiting}; else exit 1; fi')
    pulling = machine.start("tools/image.sh", "pick")
    until((machine.repository / "begun").exists, 60)
    os.killpg(pulling.pid, signal.SIGINT)
    said, _ = pulling.communicate(timeout=60)
    assert pulling.returncode == 130
    assert said.splitlines() == ["==> image: trying to pull docker.io/nousresearch/hermes-agent:v2026.7.20"]
