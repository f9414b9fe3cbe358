"""A Docker daemon for one test, which may restart it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import docker
from docker.errors import DockerException


class OwnDocker:
    """`dockerd` with data, runtime files, socket and bridge of its own, and no firewall rules.

    It has to have a bridge: a daemon that is told to have none removes docker0, which is the other daemon's.
    """

    def __init__(self, folder: Path) -> None:
        """Lay the folders out. `folder` has to be short, as a socket's path is limited."""
        self.folder = folder
        self.log = folder / "dockerd.log"
        self.bridge = f"fleet{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Its address, as in `DOCKER_HOST`."""
        return f"unix://{self.folder / 'docker.sock'}"

    @staticmethod
    def missing() -> str | None:
        """Return why no daemon can be started here, or None."""
        if os.geteuid() != 0:
            return "needs root to start a Docker daemon of its own; run: sudo make test"
        if not shutil.which("dockerd"):
            return "no dockerd to start; get it with: make docker"
        if not shutil.which("ip"):
            return "no ip to make a bridge with; get it with: apt-get install iproute2"
        return None

    def client(self) -> docker.DockerClient:
        """Return a new client of the daemon."""
        return docker.DockerClient(base_url=self.host, timeout=60)

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        if not Path("/sys/class/net", self.bridge).exists():
            subprocess.run(["ip", "link", "add", self.bridge, "type", "bridge"], check=True)
        program = shutil.which("dockerd")
        assert program
        options = {
            "data-root": self.folder / "data",
            "exec-root": self.folder / "run",
            "pidfile": self.folder / "docker.pid",
            "host": self.host,
            "bridge": self.bridge,
            "iptables": "false",
            "ip6tables": "false",
            "storage-driver": "vfs",
            "containerd-namespace": f"test-{os.getpid()}",
            "containerd-plugins-namespace": f"test-plugins-{os.getpid()}",
        }
        with self.log.open("ab") as log:
            command = [program, *(f"--{name}={value}" for name, value in options.items())]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self._answers():
            said = self.log.read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the daemon and every container."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=60)
        self._process = None

    def remove(self) -> None:
        """Remove every container, stop the daemon, and remove its files except the log."""
        with suppress(DockerException, OSError), closing(self.client()) as client:
            for container in client.containers.list(all=True):
                container.remove(force=True)
        self.stop()
        subprocess.run(["ip", "link", "delete", self.bridge], check=False)
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        shutil.rmtree(self.folder / "run", ignore_errors=True)

    def restart(self) -> None:
        """Restart the daemon: containers that ran before run afterwards, on other ports."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(5)
            connection.connect(self.host.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(100)
        return False
