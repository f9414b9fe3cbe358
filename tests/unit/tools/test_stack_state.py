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

SCRIPT = ROOT / "tools" / "stack_state.py"
HERE = socket.gethostname()


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
    """Return the number of a process that is no more."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def locked(backend: Path, **lock: object) -> Path:
    """Put a lock on the stack, as Pulumi's file backend does."""
    file = backend / ".pulumi/locks/organization/hermes-fleet/dev/4f2c.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"username": "root", "timestamp": "2026-11-21T12:00:00Z", **lock}))
    return file


def test_a_dead_process_of_this_host_loses_its_lock(tmp_path: Path) -> None:
    """A killed Pulumi's lock goes, and that is said."""
    pid = dead_process()
    file = locked(tmp_path, pid=pid, hostname=HERE)
    code, said = ask("lock", str(tmp_path))
    assert code == 0
    assert f"process {pid} on {HERE}" in said
    assert not file.exists()


def test_a_number_that_went_to_another_program_is_dead_too(tmp_path: Path) -> None:
    """A process with the lock's number that is no Pulumi does not hold the lock."""
    file = locked(tmp_path, pid=os.getpid(), hostname=HERE)
    assert ask("lock", str(tmp_path))[0] == 0
    assert not file.exists()


@pytest.mark.parametrize(
    "lock", [{"pid": 1, "hostname": "another-host"}, {"hostname": HERE}, {"pid": "?", "hostname": HERE}]
)
def test_any_other_lock_stays(tmp_path: Path, lock: dict[str, Any]) -> None:
    """The lock of another host, or one that says too little, is left alone."""
    file = locked(tmp_path, **lock)
    code, said = ask("lock", str(tmp_path))
    assert code == 1
    assert lock["hostname"] in said
    assert file.exists()


def test_a_pulumi_that_lives_keeps_its_lock(tmp_path: Path) -> None:
    """Another run at work is never pushed aside."""
    sleeper = tmp_path / "pulumi"
    sleeper.write_text("#!/bin/sh\nread line\n")
    sleeper.chmod(0o755)
    with subprocess.Popen([str(sleeper)], stdin=subprocess.PIPE) as living:
        comm = Path(f"/proc/{living.pid}/comm")
        while not comm.read_text().startswith("pulumi"):
            pass
        file = locked(tmp_path, pid=living.pid, hostname=HERE)
        code, said = ask("lock", str(tmp_path))
        living.communicate(b"\n")
    assert (code, f"process {living.pid}" in said, file.exists()) == (1, True, True)


def test_no_lock_is_no_word(tmp_path: Path) -> None:
    """Nothing is said where nothing is locked."""
    assert ask("lock", str(tmp_path)) == (0, "")


def test_unfinished_operations_are_named_and_dropped(tmp_path: Path) -> None:
    """Only the unfinished operations leave an exported stack; everything else stays as it was."""
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
    """No value is ever overwritten, except by another LLM key from the environment."""
    entries = {f"hermes-fleet:{name}": {"value": value, "secret": False} for name, value in config.items()}
    assert ask("wanted", given=entries, LLM_API_KEY=key) == (0, "\n".join(wanted))


def test_an_orphaned_offline_provider_is_ended_too(tmp_path: Path) -> None:
    """It is a program that Python runs, and is known by its folder."""
    plugin = tmp_path / "tools" / "offline-docker-provider"
    plugin.mkdir(parents=True)
    (plugin / "__main__.py").write_text("import sys\nprint('ready', flush=True)\nsys.stdin.read()\n")
    env = {**os.environ, "PULUMI_BACKEND_URL": "file:///ours"}
    with subprocess.Popen([sys.executable, plugin], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout
        orphan.stdout.readline()
        assert ask("orphans", "/ours") == (0, "")
        assert orphan.wait(timeout=10) == -signal.SIGTERM


def test_what_a_killed_pulumi_left_running_is_ended(tmp_path: Path) -> None:
    """An orphaned provider of this backend ends; one of another backend, and one with a living Pulumi, stay."""
    provider = tmp_path / "pulumi-resource-docker"
    provider.write_text("#!/bin/sh\nread line\n")
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f"#!/bin/sh\n{provider}\ntrue\n")
    for file in (provider, pulumi):
        file.chmod(0o755)

    def start(program: Path, backend: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PULUMI_BACKEND_URL": f"file://{backend}"}
        return subprocess.Popen([str(program)], env=env, stdin=subprocess.PIPE)

    with start(provider, "/ours") as orphan, start(provider, "/others") as other, start(pulumi, "/ours") as living:
        processes = (orphan, other, living)
        while not all(Path(f"/proc/{each.pid}/comm").read_text().startswith("pulumi") for each in processes):
            pass
        assert ask("orphans", "/ours") == (0, "")
        assert orphan.wait(timeout=10) == -signal.SIGTERM
        assert other.poll() is None
        assert living.poll() is None
        for each in (other, living):
            each.communicate(b"\n")
