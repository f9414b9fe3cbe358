from pathlib import Path

import pytest

from tests.support.setup.machine import Machine

VERSION = "5.2.0"


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """Return a machine with the SDK and a Pulumi CLI whose downloads fail."""
    asked = machine.repository / ".venv/lib/python3.11/site-packages/pulumi_docker/pulumi-plugin.json"
    asked.parent.mkdir(parents=True)
    asked.write_text(f'{{"resource": true, "name": "docker", "version": "{VERSION}"}}')
    (machine.repository / ".tools").mkdir()
    (machine.repository / ".tools/pulumi-bin").write_text(f"{machine.commands}\n")
    machine.command("pulumi", "echo 'error: 403 HTTP error fetching plugin' >&2; exit 255")
    return machine


def plugin(machine: Machine) -> Path:
    """Return the path of the official plugin."""
    return machine.home / f".pulumi/plugins/resource-docker-v{VERSION}/pulumi-resource-docker"


def home_for_dev(machine: Machine) -> str:
    """Return the Pulumi home of the dev stack, empty for the user's own."""
    return (machine.repository / ".tools/pulumi-plugin-home").read_text().strip()


def stand_in(machine: Machine) -> None:
    """Give the repository an offline provider."""
    machine.command("install.sh", "exit 0", machine.repository / "tools/offline-docker-provider")


def test_the_installed_plugin_is_used(ready: Machine) -> None:
    """The official plugin is preferred to the offline provider; nothing is downloaded."""
    machine = ready
    machine.command("pulumi-resource-docker", "exit 0", plugin(machine).parent)
    stand_in(machine)
    answer = machine.run("tools/docker-plugin.sh")
    assert answer.code == 0
    assert f"docker plugin {VERSION}: the official one" in answer.stdout
    assert home_for_dev(machine) == ""
    assert machine.called("pulumi") == []
    assert machine.run("tools/docker-plugin.sh").stdout == ""


def test_it_is_downloaded_at_the_version_that_the_sdk_asks_for(ready: Machine) -> None:
    """Pulumi itself downloads it."""
    machine = ready
    target = plugin(machine)
    machine.command("pulumi", f"mkdir -p {target.parent}; touch {target}; chmod 755 {target}")
    answer = machine.run("tools/docker-plugin.sh")
    assert answer.code == 0
    assert machine.called("pulumi") == [f"plugin install resource docker {VERSION}"]
    assert home_for_dev(machine) == ""


def test_the_offline_provider_is_the_last_choice(ready: Machine) -> None:
    """It is used where the download fails, in a Pulumi home of its own, and kept for a day."""
    machine = ready
    stand_in(machine)
    for _ in range(2):
        answer = machine.run("tools/docker-plugin.sh")
        assert answer.code == 0
        (said,) = [line for line in answer.stdout.splitlines() if "offline provider" in line]
        assert "could not be downloaded (error: 403 HTTP error fetching plugin); retry: make plugin" in said
        assert home_for_dev(machine) == str(machine.repository / ".tools/pulumi-home")
    assert len(machine.called("pulumi")) == 1
    machine.run("tools/docker-plugin.sh", "again")
    assert len(machine.called("pulumi")) == 2


def test_the_official_plugin_wins_as_soon_as_it_is_there(ready: Machine) -> None:
    """It replaces the offline provider."""
    machine = ready
    stand_in(machine)
    machine.run("tools/docker-plugin.sh")
    machine.command("pulumi-resource-docker", "exit 0", plugin(machine).parent)
    answer = machine.run("tools/docker-plugin.sh", PULUMI_HOME=str(machine.repository / ".tools/pulumi-home"))
    assert "the official one" in answer.stdout
    assert home_for_dev(machine) == ""


def test_a_half_unpacked_plugin_is_downloaded_again(ready: Machine) -> None:
    """Pulumi keeps a .partial file beside it."""
    folder = plugin(ready).parent
    ready.command("pulumi-resource-docker", "exit 0", folder)
    mark = folder.with_name(f"{folder.name}.partial")
    mark.touch()
    assert ready.run("tools/docker-plugin.sh").code == 1
    ready.command("pulumi", f"rm {mark}")
    assert ready.run("tools/docker-plugin.sh", "again").code == 0
    assert len(ready.called("pulumi")) == 2


def test_no_plugin_at_all(ready: Machine) -> None:
    """The message has the attempts and their errors."""
    answer = ready.run("tools/docker-plugin.sh")
    assert answer.code == 1
    assert f"pulumi plugin install resource docker {VERSION}" in answer.stderr
    assert "403 HTTP error" in answer.stderr
    assert not (ready.repository / ".tools/pulumi-plugin-home").exists()
