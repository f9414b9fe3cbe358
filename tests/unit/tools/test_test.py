import pytest

from tests.support.setup.machine import Machine


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """Return a machine with root and a Python that prints pytest's arguments; nothing can be installed."""
    machine.user(0)
    machine.command("apt-get", "echo 'E: Package has no installation candidate' >&2; exit 100")
    machine.command("dpkg", "exit 1")
    machine.command("nproc", "echo 2")
    machine.command(
        "python3",
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; ln -s "$0" "$3/bin/pip"\n'
        'printf \'#!/bin/bash\\n[ "$2" != pytest ] || echo "pytest runs ${*:3}"\\n\' >"$3/bin/python"\n'
        'chmod 755 "$3/bin/python"; fi',
    )
    (machine.repository / "requirements-dev.lock").write_text("a==1\n")
    return machine


def test_unit_tests_set_up_python_alone(ready: Machine) -> None:
    """No CLI, plugin, image or package is looked for; pytest collects tests/unit where ARGS name no path."""
    answer = ready.run("tools/test.sh", "unit", "-k", "name")
    assert answer.code == 0, answer.stderr
    assert answer.stdout.splitlines()[-1].startswith("pytest runs --override-ini testpaths=tests/unit ")
    assert answer.stdout.splitlines()[-1].endswith(" -k name")
    assert "going on without" not in answer.stdout
    assert ready.called("apt-get") == []


@pytest.mark.parametrize("words", ["", "-k unit", "tests/unit"])
def test_all_sets_up_whatever_the_arguments_are(ready: Machine, words: str) -> None:
    """The arguments go to pytest unchanged."""
    answer = ready.run("tools/test.sh", "all", *words.split())
    assert "going on without Docker" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("pytest runs --override-ini testpaths=tests ")
    assert answer.stdout.splitlines()[-1].endswith(words)


@pytest.mark.parametrize("words", [[], ["tests/unit"]])
def test_the_layers_have_to_be_named(ready: Machine, words: list[str]) -> None:
    """Without one of the two words nothing is set up and nothing runs."""
    answer = ready.run("tools/test.sh", *words)
    assert answer.code == 1
    assert "usage: tools/test.sh all|unit" in answer.stderr
    assert "pytest runs" not in answer.stdout


def test_missing_pieces_do_not_stop_the_tests(ready: Machine) -> None:
    """Without the CLI, Docker and every package, pytest still runs, and each missing piece is named."""
    answer = ready.run("tools/test.sh", "all")
    assert answer.code == 0, answer.stderr
    assert answer.stdout.splitlines()[-1].startswith("pytest runs")
    assert "going on without Docker" in answer.stdout
    assert answer.stderr.count("no installation candidate") >= 4
    assert ready.unfinished() == []
