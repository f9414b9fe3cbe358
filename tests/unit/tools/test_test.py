import pytest

from tests.support.setup.machine import Machine


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """Return a machine of root's with a Python, which says what pytest is run with, and nothing else to be had."""
    machine.user(0)
    machine.command("apt-get", "echo 'E: Package has no installation candidate' >&2; exit 100")
    machine.command("dpkg", "exit 1")
    machine.command("nproc", "echo 2")
    machine.command(
        "python3",
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; ln -s "$0" "$3/bin/pip"\n'
        'printf \'#!/bin/bash\\n[ "$2" != pytest ] || echo "pytest runs"\\n\' >"$3/bin/python"\n'
        'chmod 755 "$3/bin/python"; fi',
    )
    (machine.repository / "requirements-dev.lock").write_text("a==1\n")
    for folder in ("unit/plan", "engine"):
        (machine.repository / "tests" / folder).mkdir(parents=True)
    return machine


@pytest.mark.parametrize("words", ["tests/unit", "tests/unit/plan -k engine -x", "tests/unit/plan::test_it tests/unit"])
def test_unit_tests_wait_for_nothing_that_they_do_not_need(ready: Machine, words: str) -> None:
    """No CLI, plugin, image or package is looked for where only unit tests are asked for."""
    answer = ready.run("tools/test.sh", *words.split())
    assert answer.code == 0, answer.complained
    assert answer.said.splitlines()[-1] == "pytest runs"
    assert "going on without" not in answer.said
    assert ready.called("apt-get") == []


@pytest.mark.parametrize(
    "words",
    ["", "-k unit", "tests/unit tests/engine", "tests", "-m tests/unit", "--ignore tests/unit", "tests/unit/.."],
)
def test_other_tests_are_set_up_for(ready: Machine, words: str) -> None:
    """As soon as any other test may be among them, all is set up."""
    assert "going on without Docker" in ready.run("tools/test.sh", *words.split()).said


def test_a_piece_that_cannot_be_had_costs_no_other(ready: Machine) -> None:
    """Neither the CLI nor Docker nor a single package: what there is runs, and each piece is named."""
    answer = ready.run("tools/test.sh")
    assert answer.code == 0, answer.complained
    assert answer.said.splitlines()[-1] == "pytest runs"
    assert "going on without Docker" in answer.said
    assert answer.complained.count("no installation candidate") >= 4
    assert ready.leftovers() == []
