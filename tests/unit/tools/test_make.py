import json
import re
import sys

import pytest

from tests.support.setup.machine import ROOT, Machine


def test_help_lists_every_target(machine: Machine) -> None:
    """A bare `make` lists them and changes nothing."""
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"up", "preview", "down", "test", "check", "bench", "image", "docker", "help"} <= set(targets)
    answer = machine.run("-c", "make")
    assert answer.code == 0, answer.stderr
    assert [line.split()[1] for line in answer.stdout.splitlines()] == targets
    assert machine.called("docker") == []


def test_a_failed_step_stops_the_ones_after_it(machine: Machine) -> None:
    """`make up` fails at once without Docker, and before Pulumi without a usable Python."""
    assert "no Docker daemon is running" in machine.run("-c", "make up").stderr
    machine.command("docker", "echo 20.10.24")
    answer = machine.run("-c", "make up")
    assert answer.code != 0
    assert "Python 3.11 or later is needed" in answer.stderr
    assert "Pulumi" not in answer.stdout


@pytest.fixture
def set_up(machine: Machine) -> Machine:
    """Return a machine after a successful `make setup`."""
    repository = machine.repository
    machine.command("docker", 'case "$1" in version) echo 20.10.24 ;; image) [ ! -e image-is-gone ] ;; esac')
    machine.command(
        "pulumi",
        'case "$*" in\n'
        "  version) echo v3.258.0 ;;\n"
        f"  config\\ --json*) echo '{ALL_SET}' ;;\n"
        "  stack\\ init*) mkdir -p .state/backend/.pulumi/stacks/hermes-fleet\n"
        "    echo '{}' >.state/backend/.pulumi/stacks/hermes-fleet/dev.json ;;\n"
        "esac",
    )
    machine.command("pulumi-language-python", "exit 0")
    machine.command("pulumi-resource-docker", "exit 0", machine.home / ".pulumi/plugins/resource-docker-v5.2.0")
    machine.command(
        "python3",
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"\n'
        f'printf \'#!/bin/bash\\n[ "$2" = pip ] || exec {sys.executable} "$@"\\n\' >"$3/bin/python"\n'
        'chmod 755 "$3/bin/python"\n'
        'sdk="$3/lib/python3.11/site-packages/pulumi_docker"; mkdir -p "$sdk"\n'
        """echo '"version": "5.2.0"' >"$sdk/pulumi-plugin.json"; fi""",
    )
    (repository / "requirements.lock").write_text("a==1\n")
    (repository / "fleet").symlink_to(ROOT / "fleet")
    answer = machine.run("-c", "make setup")
    assert answer.code == 0, answer.stderr
    (repository / ".state/reaper.env").touch()  # not written: this Pulumi stores no config
    machine.calls.unlink()
    return machine


ALL_SET = json.dumps(
    {f"hermes-fleet:{key}": {"value": "5eed" * 16} for key in ("masterKey", "llmApiKey", "image", "hermesLine")}
)


def test_a_second_set_up_does_nothing(set_up: Machine) -> None:
    """Each step finds its result: nothing is printed, installed or downloaded, and Pulumi runs only for its version."""
    for name in ("curl", "go", "mmdebstrap"):
        set_up.command(name, "exit 1")
    answer = set_up.run("-c", "make setup")
    assert (answer.code, answer.stdout, answer.stderr) == (0, "", "")
    calls = {line for line in set_up.calls.read_text().splitlines() if not line.startswith("id ")}
    assert {line.split()[0] for line in calls} == {"docker", "pulumi"}
    assert {line for line in calls if line.startswith("pulumi")} == {"pulumi version"}
    assert {line.split()[1] for line in calls if line.startswith("docker")} == {"version", "image"}


def test_a_fleet_goes_down_without_its_image(set_up: Machine) -> None:
    """`make down` creates no container, so it needs no image."""
    (set_up.repository / "image-is-gone").touch()
    answer = set_up.run("-c", "make down")
    assert answer.code == 0, answer.stderr
    assert "destroy --yes --skip-preview" in set_up.called("pulumi")
    assert not [call for call in set_up.called("docker") if call.startswith(("pull", "build"))]


def test_down_without_a_stack_does_nothing(machine: Machine) -> None:
    """No stack is created only to be removed, and nothing is set up."""
    answer = machine.run("-c", "make down")
    assert (answer.code, answer.stderr) == (0, "")
    assert "nothing to remove" in answer.stdout
    assert not (machine.repository / ".state").exists()
