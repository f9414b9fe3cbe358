from tests.support.setup.machine import Machine
from tests.support.waiting import until

SLOW_PYTHON = r"""
if [ "$1 $2" = "-m venv" ]; then
  touch begun; until [ -e go ]; do sleep 0.1; done
  mkdir -p "$3/bin"; printf '#!/bin/bash\n' >"$3/bin/python"; chmod 755 "$3/bin/python"
fi
"""


def test_an_old_python_is_named(machine: Machine) -> None:
    """The message has the installed version, and no environment is created."""
    machine.command("python3", 'case "$*" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert "Python 3.11 or later is needed" in answer.stderr
    assert "python3 is Python 3.9.2" in answer.stderr
    assert not (machine.repository / ".venv").exists()
    assert machine.unfinished() == []


def test_no_python_at_all(machine: Machine) -> None:
    """The message has the command that installs one; as root it is installed."""
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert "python3 is not installed" in answer.stderr
    assert "sudo apt-get install python3 python3-venv" in answer.stderr
    assert machine.called("apt-get") == []


def test_a_named_python_is_not_replaced(machine: Machine) -> None:
    """An unusable PYTHON is an error even where another one would fit."""
    machine.command("python3", "exit 0")
    answer = machine.run("tools/python.sh", PYTHON="/nowhere/python3.12")
    assert answer.code == 1
    assert "/nowhere/python3.12 is not installed" in answer.stderr


def test_a_python_without_venv_names_its_package(machine: Machine) -> None:
    """Debian has ensurepip in a package of its own."""
    machine.command(
        "python3",
        'case "$*" in *ensurepip*) exit 1 ;; *%d.%d*) echo 3.12 ;; --version) echo Python 3.12.3 ;; *) exit 0 ;; esac',
    )
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert "sudo apt-get install --yes --no-install-recommends python3.12-venv" in answer.stderr


def python_with_pip(machine: Machine, pip: str) -> None:
    """Stub a Python that makes environments whose pip runs a script."""
    machine.command(
        "python3",
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"\n'
        f'printf \'#!/bin/bash\\n[ "$2" != pip ] || {{ {pip}; }}\\n\' | tee "$3/bin/python" >"$3/bin/pip"\n'
        'chmod 755 "$3/bin/"*; fi',
    )


def python_that_knows_its_place(machine: Machine) -> None:
    """Stub a Python 3.11 whose environments print their path and Python version."""
    (machine.home / "version").write_text("3.11")
    machine.command(
        "python3",
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"\n'
        """printf '#!/bin/bash\\n[ "$1" != -c ] || echo "$3 for Python """
        f"""$(cat {machine.home}/version)"\\n' >"$3/bin/python"\n"""
        'chmod 755 "$3/bin/python"; fi',
    )


def test_an_environment_that_no_longer_works_is_recreated(machine: Machine) -> None:
    """After an upgrade of Python, and in a checkout that was moved or copied."""
    python_that_knows_its_place(machine)
    (machine.repository / "requirements.lock").write_text("a==1\n")
    made = "creating the Python environment"
    assert [made in machine.run("tools/python.sh").stdout for _ in range(2)] == [True, False]
    (machine.home / "version").write_text("3.12")
    assert [made in machine.run("tools/python.sh").stdout for _ in range(2)] == [True, False]
    machine.repository = machine.repository.rename(machine.repository.with_name("moved"))
    assert [made in machine.run("tools/python.sh").stdout for _ in range(2)] == [True, False]


def test_an_environment_is_not_recreated_with_its_own_python(machine: Machine) -> None:
    """Where it is first on PATH, as after `. .state/env`, the machine's Python is used."""
    python_that_knows_its_place(machine)
    (machine.repository / "requirements.lock").write_text("a==1\n")
    bin_ = machine.repository / ".venv" / "bin"
    assert machine.run("tools/python.sh").code == 0
    (bin_ / "python3").symlink_to("python")
    (machine.home / "version").write_text("3.12")
    answer = machine.run("tools/python.sh", PATH=f"{bin_}:{machine.commands}")
    assert (answer.code, answer.stderr) == (0, "")
    assert "creating the Python environment" in answer.stdout


def test_a_failed_install_leaves_no_environment(machine: Machine) -> None:
    """The message has pip's error."""
    python_with_pip(machine, "echo No space left on device; exit 1")
    (machine.repository / "requirements.lock").write_text("a==1\n")
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert "No space left on device" in answer.stderr
    assert not (machine.repository / ".venv").exists()
    assert machine.unfinished() == []


def test_a_failed_update_keeps_the_environment_and_is_tried_again(machine: Machine) -> None:
    """A working environment is kept, and the next run installs again."""
    python_with_pip(machine, "[ ! -e offline ]")
    (machine.repository / "requirements.lock").write_text("a==1\n")
    assert machine.run("tools/python.sh").code == 0
    (machine.repository / "requirements.lock").write_text("a==2\n")
    (machine.repository / "offline").touch()
    assert machine.run("tools/python.sh").code == 1
    assert (machine.repository / ".venv/bin/python").exists()
    (machine.repository / "offline").unlink()
    assert "installing the locked requirements" in machine.run("tools/python.sh").stdout


def test_a_half_created_environment_is_recreated(machine: Machine) -> None:
    """It has a Python but no pip."""
    python_with_pip(machine, "exit 0")
    (machine.repository / "requirements.lock").write_text("a==1\n")
    half_made = machine.repository / ".venv/bin/python"
    machine.command(half_made.name, 'case "$*" in *pip*) echo No module named pip; exit 1 ;; esac', half_made.parent)
    answer = machine.run("tools/python.sh")
    assert answer.code == 0, answer.stderr
    assert "creating the Python environment" in answer.stdout


def test_an_environment_is_created_once(machine: Machine) -> None:
    """The second run does nothing; the development requirements satisfy a run without them."""
    python_with_pip(machine, "exit 0")
    for name in ("requirements.lock", "requirements-dev.lock"):
        (machine.repository / name).write_text("a==1\n")
    assert "creating the Python environment" in machine.run("tools/python.sh", "dev").stdout
    for level in ("dev", "run"):
        again = machine.run("tools/python.sh", level)
        assert (again.code, again.stdout) == (0, "")


def test_two_set_ups_run_one_after_the_other(machine: Machine) -> None:
    """The second one prints that it waits, and then has nothing to do."""
    machine.command("python3", SLOW_PYTHON)
    (machine.repository / "requirements.lock").write_text("a==1\n")
    first = machine.start("tools/python.sh")
    until((machine.repository / "begun").exists, 60)
    second = machine.start("tools/python.sh")
    assert second.stdout
    assert "another set-up of this checkout is running; waiting" in second.stdout.readline()
    (machine.repository / "go").touch()
    assert first.communicate()[0].count("creating the Python environment") == 1
    assert second.communicate() == ("", "")
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_folder_that_cannot_be_written_is_named(machine: Machine) -> None:
    """The message names .tools, and no other cause."""
    (machine.repository / ".tools").write_text("in the way")
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert f"cannot write to {machine.repository}/.tools" in answer.stderr
    assert "make the repository's folder writable" in answer.stderr
