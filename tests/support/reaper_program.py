"""The reaper as a program of its own: `python -m reaper run`, until the end of a block."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.pulumi_stack import ROOT
from tests.support.reaper import ADMIN_TOKEN, REAPER_KEY

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Program:
    """A reaper that runs: where it answers, and its process."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def environment(
    folder: Path, stack: str, registry: Path, docker_host: str | None, *, key: str = REAPER_KEY, **settings: str
) -> dict[str, str]:
    """Return the environment that a reaper takes its settings from; `folder` takes its secrets and its store."""
    (folder / "key").write_text(key)
    (folder / "admin").write_text(ADMIN_TOKEN)
    told = {
        "STACK": stack,
        "REGISTRY": str(registry),
        "REAPER_KEY_FILE": str(folder / "key"),
        "ADMIN_TOKEN_FILE": str(folder / "admin"),
        "DB": str(folder / "reaper.db"),
        **settings,
    }
    host = {"DOCKER_HOST": docker_host} if docker_host else {}
    return {**os.environ, **host, **{f"HERMES_FLEET_{name}": value for name, value in told.items()}}


@contextlib.contextmanager
def running(
    folder: Path, stack: str, registry: Path, docker_host: str | None = None, **settings: str
) -> Iterator[Program]:
    """Run a reaper, wait until it answers, and end it by SIGTERM."""
    port = free_port()
    told = environment(folder, stack, registry, docker_host, LISTEN=f"127.0.0.1:{port}", **settings)
    log = folder / "reaper.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "reaper", "run"], cwd=ROOT, env=told, stdout=out, stderr=out)
    program = Program(port, process, log)
    try:
        _wait_for(program)
        yield program
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(program: Program) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{program.url}/healthz", timeout=5):
                return
        except OSError:
            assert program.process.poll() is None, program.log.read_text()
            assert time.monotonic() < deadline, program.log.read_text()
            time.sleep(0.05)
