import os
import signal
from pathlib import Path

import pytest

from tests.support.setup.machine import Machine

DENIED = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
NOBODY = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


def test_a_running_daemon_is_used_without_a_word(machine: Machine) -> None:
    """A daemon that answers needs nothing."""
    machine.command("docker", "echo 20.10.24+dfsg1")
    answer = machine.run("tools/docker.sh", "check")
    assert (answer.code, answer.said, answer.complained) == (0, "", "")


@pytest.mark.parametrize(
    ("user", "debian", "mend"),
    [(0, True, "make docker"), (1000, True, "sudo apt-get install --yes docker.io"), (1000, False, "docs.docker.com")],
)
def test_no_daemon_names_the_line_for_this_machine(machine: Machine, user: int, debian: bool, mend: str) -> None:
    """What to do about a missing daemon depends on who asks, and where."""
    machine.user(user)
    if not debian:
        machine.os_release.write_text("ID=fedora\n")
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert "no Docker daemon is running" in answer.complained
    assert "the docker command is not installed" in answer.complained
    assert mend in answer.complained.partition("mend:")[2]


def test_a_denied_socket_is_not_taken_for_a_stopped_daemon(machine: Machine) -> None:
    """Who may not talk to the daemon is told so, by `check` and by `start`, and nothing is installed."""
    machine.command("docker", f"echo '{DENIED}' >&2; exit 1")
    machine.command("dockerd", "exit 0")
    for user, verb in ((1000, "check"), (1000, "start"), (0, "start")):
        machine.user(user)
        answer = machine.run("tools/docker.sh", verb)
        assert answer.code == 1
        assert "may not talk to the Docker daemon" in answer.complained
        assert "sudo usermod -aG docker somebody" in answer.complained
    assert machine.called("apt-get") == []
    assert machine.called("dockerd") == []


def test_a_daemon_elsewhere_is_named(machine: Machine) -> None:
    """With DOCKER_HOST set, that address is what did not answer; nothing is started here."""
    machine.user(0)
    machine.command("docker", f"echo '{NOBODY}' >&2; exit 1")
    answer = machine.run("tools/docker.sh", "start", DOCKER_HOST="tcp://127.0.0.1:9")
    assert answer.code == 1
    assert "tcp://127.0.0.1:9" in answer.complained
    assert "unset DOCKER_HOST" in answer.complained
    assert machine.called("apt-get") == []


def test_an_old_daemon_is_refused(machine: Machine) -> None:
    """A daemon from before 20.10 is told apart from none."""
    machine.command("docker", "echo 19.03.15")
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert "too old" in answer.complained
    assert "19.03.15" in answer.complained


def test_only_root_installs(machine: Machine) -> None:
    """Somebody else gets the line to run, and nothing happens."""
    answer = machine.run("tools/docker.sh", "start")
    assert answer.code == 1
    assert "sudo apt-get install --yes docker.io" in answer.complained
    assert machine.called("apt-get") == []


def test_root_installs_and_a_failed_install_is_shown(machine: Machine) -> None:
    """What the package manager answered is part of the message."""
    machine.user(0)
    machine.command("apt-cache", "exit 1")
    machine.command("apt-get", 'case "$*" in *docker.io*) echo "E: No space left on device" >&2; exit 100 ;; esac')
    answer = machine.run("tools/docker.sh", "start")
    assert answer.code == 1
    assert "No space left on device" in answer.complained
    assert any("docker.io" in call for call in machine.called("apt-get"))


def test_a_daemon_that_dies_shows_its_last_words(machine: Machine) -> None:
    """The daemon's own error is in the message, and where its log is."""
    machine.user(0)
    machine.command("docker", f"echo '{NOBODY}' >&2; exit 1")
    machine.command("dockerd", "echo 'failed to start daemon: no space left on device' >&2; exit 1")
    answer = machine.run("tools/docker.sh", "start", SYSTEMD=str(machine.home / "none"))
    assert answer.code == 1
    assert "no space left on device" in answer.complained
    assert (machine.repository / ".state").stat().st_mode & 0o777 == 0o700


def test_a_daemon_that_systemd_cannot_start(machine: Machine) -> None:
    """What systemd answered is shown, and where its log is; there is none of ours."""
    machine.user(0)
    machine.command("docker", f"echo '{NOBODY}' >&2; exit 1")
    machine.command("dockerd", "exit 1")
    machine.command("systemctl", "echo 'Job for docker.service failed.' >&2; exit 1")
    answer = machine.run("tools/docker.sh", "start", SYSTEMD=str(machine.home))
    assert answer.code == 1
    assert "Job for docker.service failed." in answer.complained
    assert "journalctl -u docker" in answer.complained.partition("mend:")[2]
    assert "stopped at line" not in answer.complained
    assert machine.called("dockerd") == []


def test_the_daemon_of_another_context_is_named(machine: Machine) -> None:
    """Where only the docker command knows the daemon, its address is given in the way that the provider knows."""
    address = "unix:///home/somebody/.colima/docker.sock"
    machine.command(
        "docker",
        f'if [ "$1 $DOCKER_CONTEXT" = "context " ]; then echo "colima {address}"; else echo "{NOBODY}" >&2; exit 1; fi',
    )
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert f"your context colima: export DOCKER_HOST={address}" in answer.complained
    assert "apt-get" not in answer.complained


def test_settings_that_cannot_be_read_are_not_the_daemons_refusal(machine: Machine) -> None:
    """What the docker command says of its own settings hides neither a daemon that runs nor one that does not."""
    unreadable = "echo 'WARNING: Error loading config file: open config.json: permission denied' >&2"
    machine.command("docker", f"{unreadable}; echo '{NOBODY}' >&2; exit 1")
    assert "no Docker daemon is running" in machine.run("tools/docker.sh", "check").complained
    machine.command("docker", f"{unreadable}; echo 20.10.24")
    assert machine.run("tools/docker.sh", "check").code == 0


def test_a_daemon_that_hangs_is_not_taken_for_a_stopped_one(machine: Machine) -> None:
    """No answer in time is said as such."""
    machine.command("docker", "exit 0")
    machine.command("timeout", "exit 124")
    answer = machine.run("tools/docker.sh", "check")
    assert answer.code == 1
    assert "the Docker daemon does not answer" in answer.complained
    assert "nothing in 20 seconds" in answer.complained
    assert "systemctl restart docker" in answer.complained


def test_a_daemon_that_was_started_keeps_nobody_waiting(machine: Machine) -> None:
    """Docker outlives the set-up that started it, and does not hold its lock."""
    machine.user(0)
    machine.command("docker", "[ -s running ] && echo 20.10.24")
    machine.command("dockerd", "echo $$ >running; exec sleep 600")
    answer = machine.run("tools/docker.sh", "start", SYSTEMD=str(machine.home / "none"))
    running = int((machine.repository / "running").read_text())
    try:
        assert answer.said.splitlines()[-1] == "==> Docker 20.10.24 is running", answer.complained
        assert Path(f"/proc/{running}").exists()
        again = machine.run("-c", ". tools/lib.sh; alone; echo done")
        assert again.said == "done\n"
    finally:
        os.kill(running, signal.SIGKILL)
