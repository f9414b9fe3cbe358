"""What all set-up scripts have in common: one at a time, what they say, and how they are stopped."""

import os
import shlex
import signal
import subprocess

import pytest

from tests.support.setup.machine import Machine


def end(process: subprocess.Popen[str]) -> None:
    """End a script with all that it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_set_up_is_in_nobodys_way(machine: Machine) -> None:
    """It keeps nobody waiting, and the next one removes what it left half made."""
    killed = machine.start("-c", ". tools/lib.sh; scratch; touch $SCRATCH/base.tar; echo ready; sleep 600")
    assert killed.stdout
    assert killed.stdout.readline() == "ready\n"
    end(killed)
    assert machine.leftovers()
    answer = machine.run("-c", ". tools/lib.sh; scratch; echo $SCRATCH; ls $SCRATCH")
    assert (answer.code, len(answer.said.splitlines()), answer.complained) == (0, 1, "")
    assert machine.leftovers() == []


def test_a_script_that_another_one_calls_does_not_wait_for_it(machine: Machine) -> None:
    """Both are one set-up; once it has ended the next one begins at once."""
    for _ in range(2):
        answer = machine.run("-c", ". tools/lib.sh; alone; bash -c '. tools/lib.sh; alone; scratch; echo inside'")
        assert (answer.code, answer.said) == (0, "inside\n")


@pytest.mark.parametrize("home", [{"HOME": "/nonexistent"}, {"TMPDIR": "/nonexistent"}])
def test_a_failure_is_explained_whatever_the_environment_is(machine: Machine, home: dict[str, str]) -> None:
    """A home or a folder for temporary files that is not there costs no line of the message."""
    answer = machine.run("tools/docker.sh", "check", **home)
    assert answer.code == 1
    assert "the docker command is not installed" in answer.complained
    assert "mend:     sudo apt-get install --yes docker.io" in answer.complained
    assert "stopped at line" not in answer.complained
    machine.command("curl", "exit 6")
    assert machine.run("tools/pulumi-cli.sh", PULUMI_HOME="/dev/null", **home).complained.count("mend:") == 1


def test_a_user_without_home_variable_has_a_home(machine: Machine) -> None:
    """A service's environment often lacks it; no script trips over that."""
    answer = machine.run("-c", "unset HOME; tools/docker-plugin.sh")
    assert "the Pulumi SDK for docker is not installed" in answer.complained
    assert "unbound variable" not in answer.complained


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
    """This machine is added to what goes by no proxy, once, in the form that gRPC reads, and what stood there stays."""
    sourced = '. tools/no-proxy.sh; . tools/no-proxy.sh; printf \'%s\\n\' "$no_proxy" "$NO_PROXY"'
    answer = machine.run("-c", f"exec sh -euc {shlex.quote(sourced)}", http_proxy="http://proxy.example:3128", **before)
    assert answer.said.splitlines() == after, answer.complained
