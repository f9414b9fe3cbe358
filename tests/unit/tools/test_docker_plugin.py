from pathlib import Path

import pytest

from tests.support.setup.machine import Machine

VERSION = "5.2.0"


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """Return a machine with the SDK and a Pulumi CLI that can download nothing."""
    asked = machine.repository / ".venv/lib/python3.11/site-packages/pulumi_docker/pulumi-plugin.json"
    asked.parent.mkdir(parents=True)
    asked.write_text(f'{{"resource": true, "name": "docker", "version": "{VERSION}"}}')
    (machine.repository / ".tools").mkdir()
    (machine.repository / ".tools/pulumi-bin").write_text(f"{machine.commands}\n")
    machine.command("pulumi", "echo 'error: 403 HTTP error fetching plugin' >&2; exit 255")
    return machine


def plugin(machine: Machine) -> Path:
    """Return where the official plugin belongs."""
    return machine.home / f".pulumi/plugins/resource-docker-v{VERSION}/pulumi-resource-docker"


def home_for_dev(machine: Machine) -> str:
    """Return the Pulumi home that the dev stack is given, empty for the user's own."""
    return (machine.repository / ".tools/pulumi-plugin-home").read_text().strip()


def stand_in(machine: Machine) -> None:
    """Give the repository an offline provider."""
    machine.command("install.sh", "exit 0", machine.repository / "tools/offline-docker-provider")


def test_the_installed_plugin_is_used(ready: Machine) -> None:
    """The official plugin wins, even where there is a stand-in; nothing is downloaded."""
    machine = ready
    machine.command("pulumi-resource-docker", "exit 0", plugin(machine).parent)
    stand_in(machine)
    answer = machine.run("tools/docker-plugin.sh")
    assert answer.code == 0
    assert f"docker plugin {VERSION}: the official one" in answer.said
    assert home_for_dev(machine) == ""
    assert machine.called("pulumi") == []
    assert machine.run("tools/docker-plugin.sh").said == ""


def test_it_is_downloaded_at_the_version_that_the_sdk_asks_for(ready: Machine) -> None:
    """Pulumi itself downloads it."""
    machine = ready
    target = plugin(machine)
    machine.command("pulumi", f"mkdir -p {target.parent}; touch {target}; chmod 755 {target}")
    answer = machine.run("tools/docker-plugin.sh")
    assert answer.code == 0
    assert machine.called("pulumi") == [f"plugin install resource docker {VERSION}"]
    assert home_for_dev(machine) == ""


def test_the_stand_in_comes_last_and_says_so(ready: Machine) -> None:
    """Where nothing can be downloaded the stand-in is used, in a Pulumi home of its own, and kept for a day."""
    machine = ready
    stand_in(machine)
    for _ in range(2):
        answer = machine.run("tools/docker-plugin.sh")
        assert answer.code == 0
        (said,) = [line for line in answer.said.splitlines() if "offline provider" in line]
        assert "could not be downloaded (error: 403 HTTP error fetching plugin); try again: make plugin" in said
        assert home_for_dev(machine) == str(machine.repository / ".tools/pulumi-home")
    assert len(machine.called("pulumi")) == 1
    machine.run("tools/docker-plugin.sh", "again")
    assert len(machine.called("pulumi")) == 2


def test_the_official_plugin_wins_as_soon_as_it_is_there(ready: Machine) -> None:
    """A stand-in that was in use makes way."""
    machine = ready
    stand_in(machine)
    machine.run("tools/docker-plugin.sh")
    machine.command("pulumi-resource-docker", "exit 0", plugin(machine).parent)
    answer = machine.run("tools/docker-plugin.sh", PULUMI_HOME=str(machine.repository / ".tools/pulumi-home"))
    assert "the official one" in answer.said
    assert home_for_dev(machine) == ""


def test_a_plugin_that_is_half_unpacked_is_not_there(ready: Machine) -> None:
    """Beside it Pulumi has left a mark; it is downloaded anew."""
    folder = plugin(ready).parent
    ready.command("pulumi-resource-docker", "exit 0", folder)
    mark = folder.with_name(f"{folder.name}.partial")
    mark.touch()
    assert ready.run("tools/docker-plugin.sh").code == 1
    ready.command("pulumi", f"rm {mark}")
    assert ready.run("tools/docker-plugin.sh", "again").code == 0
    assert len(ready.called("pulumi")) == 2


def test_no_plugin_at_all(ready: Machine) -> None:
    """What was tried and what answered is in the message."""
    answer = ready.run("tools/docker-plugin.sh")
    assert answer.code == 1
    assert f"pulumi plugin install resource docker {VERSION}" in answer.complained
    assert "403 HTTP error" in answer.complained
    assert not (ready.repository / ".tools/pulumi-plugin-home").exists()
