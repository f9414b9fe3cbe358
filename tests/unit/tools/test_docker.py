import os
import signal
from pathlib import Path

import pytest

from tests.support.setup.machine import Machine

DENIED = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
NONE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


def test_a_running_daemon_is_used_silently(machine: Machine) -> None:
    """Nothing is printed."""
    machine.command("docker", "echo 20.10.24+dfsg1")
    answer = machine.run("tools/docker.sh", "check")
    assert (answer.code, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("user", "debian", "fix"),
    [(0, True, "make docker"), (1000, True, "sudo apt-get install --yes docker.io"), (1000, False, "docs.docker.com")],
)
def test_no_daemon_names_the_line_for_this_machine(machine: Machine, user: int, debian: bool, fix: str) -> None:
    """The fix for a missing daemon depends on the user and the distribution."""
    machine.user(user)
    if not debian:
        machine.os_release.write_text("ID=fedora\n")
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert "no Docker daemon is running" in answer.stderr
    assert "the docker command is not installed" in answer.stderr
    assert fix in answer.stderr.partition("fix:")[2]


def test_a_denied_socket_is_not_taken_for_a_stopped_daemon(machine: Machine) -> None:
    """Both `check` and `start` say that the permission is missing, and install nothing."""
    machine.command("docker", f"echo '{DENIED}' >&2; exit 1")
    machine.command("dockerd", "exit 0")
    for user, verb in ((1000, "check"), (1000, "start"), (0, "start")):
        machine.user(user)
        answer = machine.run("tools/docker.sh", verb)
        assert answer.code == 1
        assert "this user cannot connect to the Docker daemon" in answer.stderr
        assert "sudo usermod -aG docker operator" in answer.stderr
    assert machine.called("apt-get") == []
    assert machine.called("dockerd") == []


def test_a_daemon_elsewhere_is_named(machine: Machine) -> None:
    """With DOCKER_HOST set, the message names that address, and nothing is started."""
    machine.user(0)
    machine.command("docker", f"echo '{NONE}' >&2; exit 1")
    answer = machine.run("tools/docker.sh", "start", DOCKER_HOST="tcp://127.0.0.1:9")
    assert answer.code == 1
    assert "tcp://127.0.0.1:9" in answer.stderr
    assert "unset DOCKER_HOST" in answer.stderr
    assert machine.called("apt-get") == []


def test_an_old_daemon_is_refused(machine: Machine) -> None:
    """A daemon older than 20.10 has a message of its own."""
    machine.command("docker", "echo 19.03.15")
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert "too old" in answer.stderr
    assert "19.03.15" in answer.stderr


def test_only_root_installs(machine: Machine) -> None:
    """Another user gets the command to run, and nothing is installed."""
    answer = machine.run("tools/docker.sh", "start")
    assert answer.code == 1
    assert "sudo apt-get install --yes docker.io" in answer.stderr
    assert machine.called("apt-get") == []


def test_root_installs_and_a_failed_install_is_shown(machine: Machine) -> None:
    """The message has the package manager's output."""
    machine.user(0)
    machine.command("apt-cache", "exit 1")
    machine.command("apt-get", 'case "$*" in *docker.io*) echo "E: No space left on device" >&2; exit 100 ;; esac')
    answer = machine.run("tools/docker.sh", "start")
    assert answer.code == 1
    assert "No space left on device" in answer.stderr
    assert any("docker.io" in call for call in machine.called("apt-get"))


def test_the_error_of_a_daemon_that_exits_is_shown(machine: Machine) -> None:
    """The message has the daemon's error and the path of its log."""
    machine.user(0)
    machine.command("docker", f"echo '{NONE}' >&2; exit 1")
    machine.command("dockerd", "echo 'failed to start daemon: no space left on device' >&2; exit 1")
    answer = machine.run("tools/docker.sh", "start", SYSTEMD=str(machine.home / "none"))
    assert answer.code == 1
    assert "no space left on device" in answer.stderr
    assert (machine.repository / ".state").stat().st_mode & 0o777 == 0o700


def test_a_daemon_that_systemd_cannot_start(machine: Machine) -> None:
    """The message has systemd's error and the command for its log; dockerd is not started."""
    machine.user(0)
    machine.command("docker", f"echo '{NONE}' >&2; exit 1")
    machine.command("dockerd", "exit 1")
    machine.command("systemctl", "echo 'Job for docker.service failed.' >&2; exit 1")
    answer = machine.run("tools/docker.sh", "start", SYSTEMD=str(machine.home))
    assert answer.code == 1
    assert "Job for docker.service failed." in answer.stderr
    assert "journalctl -u docker" in answer.stderr.partition("fix:")[2]
    assert "stopped at line" not in answer.stderr
    assert machine.called("dockerd") == []


def test_the_daemon_of_another_context_is_named(machine: Machine) -> None:
    """The fix sets DOCKER_HOST to the context's address, which the provider reads."""
    address = "unix:///home/operator/.colima/docker.sock"
    machine.command(
        "docker",
        f'if [ "$1 $DOCKER_CONTEXT" = "context " ]; then echo "colima {address}"; else echo "{NONE}" >&2; exit 1; fi',
    )
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert f"your context colima: export DOCKER_HOST={address}" in answer.stderr
    assert "apt-get" not in answer.stderr


def test_unreadable_settings_are_not_taken_for_a_denied_socket(machine: Machine) -> None:
    """A warning about the command's own settings hides neither a running daemon nor a stopped one."""
    unreadable = "echo 'WARNING: Error loading config file: open config.json: permission denied' >&2"
    machine.command("docker", f"{unreadable}; echo '{NONE}' >&2; exit 1")
    assert "no Docker daemon is running" in machine.run("tools/docker.sh", "check").stderr
    machine.command("docker", f"{unreadable}; echo 20.10.24")
    assert machine.run("tools/docker.sh", "check").code == 0


def test_a_daemon_that_hangs_is_not_taken_for_a_stopped_one(machine: Machine) -> None:
    """A timeout has a message of its own."""
    machine.command("docker", "exit 0")
    machine.command("timeout", "exit 124")
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert "the Docker daemon does not answer" in answer.stderr
    assert "no answer in 20 seconds" in answer.stderr
    assert "systemctl restart docker" in answer.stderr


def test_a_started_daemon_does_not_hold_the_lock(machine: Machine) -> None:
    """It outlives the set-up, and the next set-up starts at once."""
    machine.user(0)
    machine.command("docker", "[ -s running ] && echo 20.10.24")
    machine.command("dockerd", "echo $$ >running; exec sleep 600")
    answer = machine.run("tools/docker.sh", "start", SYSTEMD=str(machine.home / "none"))
    running = int((machine.repository / "running").read_text())
    try:
        assert answer.stdout.splitlines()[-1] == "==> Docker 20.10.24 is running", answer.stderr
        assert Path(f"/proc/{running}").exists()
        again = machine.run("-c", ". tools/lib.sh; alone; echo done")
        assert again.stdout == "done\n"
    finally:
        os.kill(running, signal.SIGKILL)
