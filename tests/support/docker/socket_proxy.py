"""The socket proxy of `deploy/` on nginx, with containers behind it."""

import http.client
import shutil
import socket
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from docker.models.containers import Container

from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.reaper import ADMIN_TOKEN


@dataclass(frozen=True)
class Proxied:
    """A proxy in front of the daemon, a family's container, and an unmanaged container."""

    socket: Path
    stack: str
    family: dict[str, object]
    container: Container
    foreign: Container

    @property
    def host(self) -> str:
        """Return the value of DOCKER_HOST."""
        return f"unix://{self.socket}"

    def ask(self, method: str, path: str, body: str | None = None) -> int:
        """Send a request as it is written, and return the status of the response."""
        connection = http.client.HTTPConnection("docker", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(30)
            connection.sock.connect(str(self.socket))
            connection.putrequest(method, path)
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body or "")))
            connection.endheaders((body or "").encode())
            return connection.getresponse().status
        finally:
            connection.close()


def find_nginx() -> str | None:
    """Return an nginx: the installed one, or the one that `make test` unpacks."""
    for found in (shutil.which("nginx"), str(ROOT / ".tools" / "nginx" / "usr" / "sbin" / "nginx")):
        if (
            found
            and Path(found).exists()
            and subprocess.run([found, "-v"], capture_output=True, check=False).returncode == 0
        ):
            return found
    return None


def ensure(port: int) -> int:
    """Ask for the family, and return the status of the response."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/families/ash/ensure", method="POST")
    request.add_header("Authorization", f"Bearer {ADMIN_TOKEN}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        status: int = answer.status
        return status
