import shutil
import sys

from tests.support.machine import Machine


def test_an_old_python_is_named(machine: Machine) -> None:
    """The version that is there is in the message, and nothing is made."""
    machine.command("python3", 'case "$*" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert "Python 3.11 or later is needed" in answer.complained
    assert "python3 is Python 3.9.2" in answer.complained
    assert not (machine.repository / ".venv").exists()
    assert machine.leftovers() == []


def test_no_python_at_all(machine: Machine) -> None:
    """Where there is none, the line that installs one is printed; only root's machine gets it by itself."""
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert "python3 is not installed" in answer.complained
    assert "sudo apt-get install python3 python3-venv" in answer.complained
    assert machine.called("apt-get") == []


def test_a_named_python_is_taken_at_its_word(machine: Machine) -> None:
    """PYTHON is not replaced by another one behind the user's back."""
    machine.command("python3", "exit 0")
    answer = machine.run("tools/python.sh", PYTHON="/nowhere/python3.12")
    assert answer.code == 1
    assert "/nowhere/python3.12 is not installed" in answer.complained


def test_a_python_without_venv_names_its_package(machine: Machine) -> None:
    """Debian's Python makes no virtual environments without a package more."""
    machine.command(
        "python3",
        'case "$*" in *ensurepip*) exit 1 ;; *%d.%d*) echo 3.12 ;; --version) echo Python 3.12.3 ;; *) exit 0 ;; esac',
    )
    answer = machine.run("tools/python.sh")
    assert answer.code == 1
    assert "sudo apt-get install --yes --no-install-recommends python3.12-venv" in answer.complained


def test_a_failed_install_leaves_no_environment(machine: Machine) -> None:
    """Requirements that cannot be had leave nothing half made, and say why."""
    (machine.commands / "python3").symlink_to(shutil.which("python3", path=sys.base_prefix + "/bin") or sys.executable)
    (machine.repository / "requirements.lock").write_text(f"no-such-package-here==1.0 --hash=sha256:{'0' * 64}\n")
    answer = machine.run("tools/python.sh", PIP_NO_INDEX="1")
    assert answer.code == 1
    assert "no-such-package-here==1.0" in answer.complained
    assert not (machine.repository / ".venv").exists()
    assert machine.leftovers() == []


def test_an_environment_is_made_once(machine: Machine) -> None:
    """The second run does nothing; another lock file makes it work again."""
    (machine.commands / "python3").symlink_to(shutil.which("python3", path=sys.base_prefix + "/bin") or sys.executable)
    lock = machine.repository / "requirements.lock"
    lock.write_text("# nothing\n")
    assert "making the Python environment" in machine.run("tools/python.sh", PIP_NO_INDEX="1").said
    assert (machine.repository / ".venv/bin/python").exists()
    again = machine.run("tools/python.sh", PIP_NO_INDEX="1")
    assert (again.code, again.said) == (0, "")
    lock.write_text("# nothing, differently\n")
    assert "installing the locked requirements" in machine.run("tools/python.sh", PIP_NO_INDEX="1").said
