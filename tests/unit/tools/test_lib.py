"""The functions that all set-up scripts share: the lock, error messages, the proxy."""

import os
import shlex
import signal
import subprocess

import pytest

from tests.support.setup.machine import Machine


def end(process: subprocess.Popen[str]) -> None:
    """Kill a script and its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_set_up_blocks_no_other(machine: Machine) -> None:
    """The next one gets the lock at once and removes its scratch folder."""
    killed = machine.start("-c", ". tools/lib.sh; scratch; touch $SCRATCH/base.tar; echo ready; sleep 600")
    assert killed.stdout
    assert killed.stdout.readline() == "ready\n"
    end(killed)
    assert machine.unfinished()
    answer = machine.run("-c", ". tools/lib.sh; scratch; echo $SCRATCH; ls $SCRATCH")
    assert (answer.code, len(answer.stdout.splitlines()), answer.stderr) == (0, 1, "")
    assert machine.unfinished() == []


def test_a_script_that_another_one_calls_does_not_wait_for_it(machine: Machine) -> None:
    """They share the lock, which is free once the outer one has ended."""
    for _ in range(2):
        answer = machine.run("-c", ". tools/lib.sh; alone; bash -c '. tools/lib.sh; alone; scratch; echo inside'")
        assert (answer.code, answer.stdout) == (0, "inside\n")


@pytest.mark.parametrize("home", [{"HOME": "/nonexistent"}, {"TMPDIR": "/nonexistent"}])
def test_a_failure_is_explained_without_home_and_tmp(machine: Machine, home: dict[str, str]) -> None:
    """The message is complete even where these folders do not exist."""
    answer = machine.run("tools/docker.sh", "check", **home)
    assert answer.code == 1
    assert "the docker command is not installed" in answer.stderr
    assert "fix:      sudo apt-get install --yes docker.io" in answer.stderr
    assert "stopped at line" not in answer.stderr
    machine.command("curl", "exit 6")
    assert machine.run("tools/pulumi-cli.sh", PULUMI_HOME="/dev/null", **home).stderr.count("fix:") == 1


def test_a_user_without_home_variable_has_a_home(machine: Machine) -> None:
    """A service's environment often lacks HOME."""
    answer = machine.run("-c", "unset HOME; tools/docker-plugin.sh")
    assert "the Pulumi SDK for docker is not installed" in answer.stderr
    assert "unbound variable" not in answer.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, ["127.0.0.1,localhost"] * 2),
        ({"no_proxy": "corp.example, 10.0.0.1"}, ["corp.example, 10.0.0.1,127.0.0.1,localhost"] * 2),
        ({"NO_PROXY": "corp.example"}, ["corp.example,127.0.0.1,localhost"] * 2),
        ({"no_proxy": "localhost", "NO_PROXY": "a.example"}, ["localhost,127.0.0.1", "a.example,127.0.0.1,localhost"]),
    ],
)
def test_no_call_to_this_machine_goes_through_a_proxy(
    machine: Machine, before: dict[str, str], after: list[str]
) -> None:
    """Loopback is added to no_proxy once, in the form that gRPC reads, and existing entries stay."""
    sourced = '. tools/no-proxy.sh; . tools/no-proxy.sh; printf \'%s\\n\' "$no_proxy" "$NO_PROXY"'
    answer = machine.run("-c", f"exec sh -euc {shlex.quote(sourced)}", http_proxy="http://proxy.example:3128", **before)
    assert answer.stdout.splitlines() == after, answer.stderr
