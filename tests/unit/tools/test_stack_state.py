import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.setup.machine import ROOT
from tools import stack_state

SCRIPT = ROOT / "tools" / "stack_state.py"
HERE = socket.gethostname()
# Prints `ready` once /proc shows its environment, and runs until its standard input closes.
WAITING = "#!/bin/sh\necho ready\nread line\n"
# Seconds until an orphan that ignores SIGTERM is killed; no test waits for so long.
PATIENCE = 120.0


def ask(*words: str, given: object = None, **environment: str) -> tuple[int, str]:
    """Run the script; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        input=json.dumps(given),
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def dead_process() -> int:
    """Return the id of a process that has exited."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def start(*program: str | Path, backend: Path) -> subprocess.Popen[bytes]:
    """Start a program that works on a backend; return it once it, or its child, has printed `ready`.

    Each test has a backend of its own: one that runs beside it on another worker would signal its processes, too.
    """
    env = {**os.environ, "PULUMI_BACKEND_URL": f"file://{backend}"}
    process = subprocess.Popen([*program], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def locked(backend: Path, **lock: object) -> Path:
    """Put a lock on the stack, as Pulumi's file backend does."""
    file = backend / ".pulumi/locks/organization/hermes-fleet/dev/4f2c.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"username": "root", "timestamp": "2026-11-21T12:00:00Z", **lock}))
    return file


def test_a_dead_process_of_this_host_loses_its_lock(tmp_path: Path) -> None:
    """A killed Pulumi's lock is removed, and the output says so."""
    pid = dead_process()
    file = locked(tmp_path, pid=pid, hostname=HERE)
    code, said = ask("lock", str(tmp_path))
    assert code == 0
    assert f"process {pid} on {HERE}" in said
    assert not file.exists()


def test_a_reused_process_id_loses_the_lock(tmp_path: Path) -> None:
    """A process with the lock's id that is not Pulumi does not hold it."""
    file = locked(tmp_path, pid=os.getpid(), hostname=HERE)
    assert ask("lock", str(tmp_path))[0] == 0
    assert not file.exists()


@pytest.mark.parametrize(
    "lock", [{"pid": 1, "hostname": "another-host"}, {"hostname": HERE}, {"pid": "?", "hostname": HERE}]
)
def test_any_other_lock_stays(tmp_path: Path, lock: dict[str, Any]) -> None:
    """The lock of another host and an incomplete one are kept."""
    file = locked(tmp_path, **lock)
    code, said = ask("lock", str(tmp_path))
    assert code == 1
    assert lock["hostname"] in said
    assert file.exists()


def test_a_pulumi_that_lives_keeps_its_lock(tmp_path: Path) -> None:
    """A running Pulumi is not disturbed."""
    sleeper = tmp_path / "pulumi"
    sleeper.write_text(WAITING)
    sleeper.chmod(0o755)
    with start(sleeper, backend=tmp_path) as living:
        file = locked(tmp_path, pid=living.pid, hostname=HERE)
        code, said = ask("lock", str(tmp_path))
        living.communicate(b"\n")
    assert (code, f"process {living.pid}" in said, file.exists()) == (1, True, True)


def test_without_a_lock_nothing_is_printed(tmp_path: Path) -> None:
    """And the exit code is 0."""
    assert ask("lock", str(tmp_path)) == (0, "")


def test_unfinished_operations_are_named_and_dropped(tmp_path: Path) -> None:
    """Only the unfinished operations are removed from an exported stack."""
    operation = {
        "type": "creating",
        "resource": {"urn": "urn:pulumi:dev::hermes-fleet::docker:index/container:Container::hermes-user-1"},
    }
    latest = {
        "resources": [{"urn": "a"}],
        "secrets_providers": {"type": "passphrase"},
        "pending_operations": [operation],
    }
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
    assert ask("pending", str(file)) == (0, "creating hermes-user-1")
    code, filtered = ask("drop-pending", given={"version": 3, "deployment": latest})
    del latest["pending_operations"]
    assert (code, json.loads(filtered)) == (0, {"version": 3, "deployment": latest})


@pytest.mark.parametrize(
    ("config", "key", "wanted"),
    [
        ({}, "", ["masterKey", "image", "hermesLine", "placeholder"]),
        ({}, "sk-1", ["masterKey", "image", "hermesLine", "llmApiKey"]),
        ({"llmApiKey": "sk-1"}, "sk-1", ["masterKey", "image", "hermesLine"]),
        ({"llmApiKey": "sk-1", "masterKey": "m", "image": "i", "hermesLine": "0.19"}, "", []),
        ({"llmApiKey": "sk-1", "masterKey": "m", "image": "i", "hermesLine": "0.19"}, "sk-2", ["llmApiKey"]),
    ],
)
def test_only_what_is_missing_is_set(config: dict[str, str], key: str, wanted: list[str]) -> None:
    """No value is overwritten, except by another LLM key from the environment."""
    entries = {f"hermes-fleet:{name}": {"value": value, "secret": False} for name, value in config.items()}
    assert ask("wanted", given=entries, LLM_API_KEY=key) == (0, "\n".join(wanted))


def test_an_orphaned_offline_provider_is_terminated_too(tmp_path: Path) -> None:
    """Python runs it, so that it is known by its folder."""
    plugin = tmp_path / "tools" / "offline-docker-provider"
    plugin.mkdir(parents=True)
    (plugin / "__main__.py").write_text("import sys\nprint('ready', flush=True)\nsys.stdin.read()\n")
    with start(sys.executable, plugin, backend=tmp_path) as orphan:
        assert stack_state.end_orphans(tmp_path, PATIENCE) == 0
        assert orphan.wait() == -signal.SIGTERM


def test_orphans_of_a_killed_pulumi_are_terminated(tmp_path: Path) -> None:
    """An orphaned provider of this backend ends; one of another backend, and one with a running Pulumi, stay."""
    provider = tmp_path / "pulumi-resource-docker"
    provider.write_text(WAITING)
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f"#!/bin/sh\n{provider}\ntrue\n")
    for file in (provider, pulumi):
        file.chmod(0o755)
    with (
        start(provider, backend=tmp_path) as orphan,
        start(provider, backend=tmp_path / "another") as other,
        start(pulumi, backend=tmp_path) as living,
    ):
        assert stack_state.end_orphans(tmp_path, PATIENCE) == 0
        assert orphan.wait() == -signal.SIGTERM
        assert other.poll() is None
        assert living.poll() is None
        for each in (other, living):
            each.communicate(b"\n")
        assert ask("orphans", str(tmp_path)) == (0, "")


def test_an_orphan_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    """After the grace period, and one that ended in the meantime is no error."""
    provider = tmp_path / "pulumi-resource-docker"
    provider.write_text(WAITING.replace("echo", "trap '' TERM\necho"))
    provider.chmod(0o755)
    with start(provider, backend=tmp_path) as orphan:
        assert stack_state.end_orphans(tmp_path, 0.2) == 0
        assert orphan.wait() == -signal.SIGKILL


def test_an_orphan_that_has_just_ended_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may end between the look at /proc and the signal."""
    gone = dead_process()
    found = iter([[gone], [], [gone], []])
    monkeypatch.setattr(stack_state, "orphans", lambda _: next(found))
    assert stack_state.end_orphans(Path("/ours")) == 0
