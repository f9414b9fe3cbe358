"""Runs `pulumi preview --json`, with a Docker daemon or without one.

The provider pings the daemon once and previews nothing without an answer; a preview needs nothing else of it. So where
there is no daemon it gets a socket that answers the ping and refuses everything else.
"""

import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Thread
from typing import Any

import docker

from fleet import host
from fleet.errors import FleetError
from fleet.plan.reader import messages

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS")


def reachable_host() -> AbstractContextManager[docker.DockerClient | None]:
    """Return a client of the Docker host that closes itself, or None where no daemon answers."""
    try:
        return closing(host.connect())
    except FleetError:
        return nullcontext()


def preview(
    root: Path, stack: str, config_file: Path | None, environment: Mapping[str, str], *, daemon: bool
) -> dict[str, Any]:
    """Preview the stack of the project in `root`, and return the JSON; `daemon` tells whether a Docker host answers.

    Raises FleetError where Pulumi prints no JSON. A preview that fails does: its errors are in the JSON.
    """
    env = {**environment, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    with ExitStack() as opened:
        if not daemon:
            env["DOCKER_HOST"] = opened.enter_context(ping_socket())
        command = [_pulumi(root, env), "preview", "--json", "--show-sames", "--non-interactive", "--stack", stack]
        if config_file:
            command += ["--config-file", str(config_file.resolve())]
        env["PATH"] = f"{Path(sys.executable).parent}:{Path(command[0]).parent}:{env.get('PATH', '')}"
        done = subprocess.run(
            command, cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    try:
        digest: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise FleetError(f"pulumi preview: {said}") from None
    if done.returncode and not messages(digest, "error"):
        said = done.stderr.strip() or f"exit code {done.returncode}"
        digest["diagnostics"] = [*(digest.get("diagnostics") or []), {"severity": "error", "message": said}]
    return digest


def environment(root: Path, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for Pulumi: as given, or with `.state/env` where no backend is set.

    Raises FleetError where that file cannot be sourced.
    """
    file = root / ".state" / "env"
    if "PULUMI_BACKEND_URL" in given or not file.is_file():
        return dict(given)
    shown = subprocess.run(
        ["/bin/sh", "-c", '. "$1" >&2 && env -0', "sh", str(file)],
        cwd=root,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode:
        raise FleetError(f"{file}: {shown.stderr.strip()}")
    return dict(entry.split("=", 1) for entry in shown.stdout.split("\0") if "=" in entry)


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Return the values of the environment that must not be printed, judged by their names."""
    return [
        value
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and not os.path.exists(value)  # noqa: PTH110 - raises nothing for a long token
    ]


def _pulumi(root: Path, env: Mapping[str, str]) -> str:
    pinned = root / ".tools" / "pulumi-bin"
    folders = [pinned.read_text(encoding="utf-8").strip()] if pinned.is_file() else []
    folders += [env.get("PATH", ""), str(Path.home() / ".pulumi" / "bin")]
    found = shutil.which("pulumi", path=":".join(folders))
    if not found:
        raise FleetError("no Pulumi CLI on PATH; fix: make setup")
    return found


class _PingOnly(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # headers that are not read would reset the connection when it is closed
        status = "200 OK" if b"/_ping " in request else "501 no daemon here"
        self.wfile.write(
            f"HTTP/1.0 {status}\r\nApi-Version: 1.41\r\nOSType: linux\r\nContent-Length: 0\r\n\r\n".encode()
        )


@contextmanager
def ping_socket() -> Iterator[str]:
    """Serve the ping on a socket of its own and yield its address in the form of `DOCKER_HOST`."""
    with tempfile.TemporaryDirectory(prefix="hermes-fleet-") as folder:
        path = f"{folder}/docker.sock"
        with socketserver.ThreadingUnixStreamServer(path, _PingOnly) as server:
            server.daemon_threads = True
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            try:
                yield f"unix://{path}"
            finally:
                server.shutdown()
