"""The daemon in a process of its own, until the end of a block."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.reaper import ADMIN_TOKEN, REAPER_KEY

RUN = ("-m", "reaper", "run")
_START_SECONDS = 60.0
_END_SECONDS = 20.0


@dataclass
class Program:
    """`python -m reaper run` in a process of its own on a port of loopback; each line it prints goes to `said` too."""

    port: int
    environment: dict[str, str]
    command: Sequence[str] = RUN
    said: Callable[[str], None] = lambda _: None
    printed: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] = field(init=False)
    reader: threading.Thread = field(init=False)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def text(self) -> str:
        """Return its output so far."""
        return "\n".join(self.printed)

    def start(self) -> None:
        """Start it, for the first time or again, and wait until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            self._check_alive()
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)
        self._check_alive()  # or another process answers on its port

    def end(self) -> None:
        """End it as a service manager does."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill it as a full machine does."""
        self.process.kill()
        self.process.wait()
        self.reader.join(_END_SECONDS)

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _check_alive(self) -> None:
        if self.process.poll() is not None:
            self.reader.join(_END_SECONDS)
            raise AssertionError(self.text)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                self.printed.append(line.rstrip())
                self.said(line.strip())

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == http.client.OK)
        except OSError:
            return False


def free_port() -> int:
    """Return a free port of this machine."""
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
    """Run a reaper inside the block."""
    port = free_port()
    program = Program(port, environment(folder, stack, registry, docker_host, LISTEN=f"127.0.0.1:{port}", **settings))
    program.start()
    try:
        yield program
    finally:
        program.end()


def wait_for_sweep(url: str) -> None:
    """Wait until the reaper has swept once."""
    while True:
        with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
            if b"hermes_reaper_last_sweep_timestamp_seconds 0.0" not in answer.read():
                return
        time.sleep(0.05)
