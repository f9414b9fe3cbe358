import re

from tests.support.machine import ROOT, Machine


def test_help_lists_every_target(machine: Machine) -> None:
    """What can be made is explained by make itself; a bare `make` changes nothing."""
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"up", "preview", "down", "test", "check", "bench", "image", "docker", "help"} <= set(targets)
    answer = machine.run("-c", "make")
    assert answer.code == 0, answer.complained
    assert [line.split()[1] for line in answer.said.splitlines()] == targets
    assert machine.called("docker") == []


def test_a_failed_step_stops_the_ones_after_it(machine: Machine) -> None:
    """Without Docker `make up` ends before anything is made, without a usable Python right after; never with code 0."""
    assert "no Docker daemon is running" in machine.run("-c", "make up").complained
    machine.command("docker", "echo 20.10.24")
    answer = machine.run("-c", "make up")
    assert answer.code != 0
    assert "Python 3.11 or later is needed" in answer.complained
    assert "Pulumi" not in answer.said
