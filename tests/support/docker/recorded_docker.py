"""A Docker API that answers from a recording: what a daemon said of containers like these, over a unix socket.

It is for fleets larger than a machine can run. Every call is counted, and the processor time it took to answer, so
that the work of the caller can be told from the work done here.
"""

import contextlib
import json
import re
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import UUID

from fleet import naming
from fleet.registry import load_registry

_HEADERS = {"Api-Version": "1.41", "Docker-Experimental": "false", "Server": "Docker/20.10.24 (linux)"}
_VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}
_NOTHING = b'{"human":null,"any":null,"cron_next":null,"cron_running":0,"active_agents":0,"children":0,"inbound":0}\n'
_PROCESS_SECONDS = 0.03


def container_id(family_id: UUID) -> str:
    """Return the id of a family's recorded container."""
    return f"{family_id.hex:f>64}"


@dataclass
class Recording:
    """The containers by family, the `calls` by kind, and the `cpu` seconds spent in answering."""

    stack: str
    states: dict[UUID, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0
    up_for: timedelta = timedelta(hours=30)

    def __post_init__(self) -> None:
        """Start the clock of the containers."""
        self._lock = threading.Lock()
        self._started = datetime.now(UTC) - self.up_for

    @classmethod
    def all_running(cls, stack: str, registry: Path) -> "Recording":
        """Return the containers of a registry's families, all of them running."""
        return cls(stack, {family.id: "running" for family in load_registry(registry).families})

    def asked(self, kind: str) -> None:
        """Count a call. Call it before the response is sent: the caller may read the count at once."""
        with self._lock:
            self.calls[kind] += 1

    def worked(self, cpu: float) -> None:
        """Add to the time that answering took."""
        with self._lock:
            self.cpu += cpu

    def listed(self) -> list[dict[str, Any]]:
        """Return the answer to a listing."""
        return [self._listed(family_id, state) for family_id, state in self.states.items()]

    def _listed(self, family_id: UUID, state: str) -> dict[str, Any]:
        running = state == "running"
        port = {"IP": "127.0.0.1", "PrivatePort": 8642, "PublicPort": 32768 + family_id.int % 28000, "Type": "tcp"}
        name = naming.container_name(family_id)
        return {
            "Id": container_id(family_id),
            "Names": [f"/{name}"],
            "Image": "hermes-agent:1",
            "ImageID": f"sha256:{'5' * 64}",
            "Command": "/bin/sh /opt/fleet/boot.sh",
            "Created": int(self._started.timestamp()),
            "Ports": [port] if running else [],
            "Labels": naming.family_labels(self.stack, "recorded", family_id),
            "State": state,
            "Status": "Up 30 hours (healthy)" if running else "Exited (0) 3 hours ago",
            "HostConfig": {"NetworkMode": naming.network_name(self.stack)},
            "Mounts": [{"Type": "volume", "Name": f"{name}-data", "Destination": "/opt/data", "RW": True}],
        }

    def container_details(self, name_or_id: str) -> dict[str, Any] | None:
        """Return the answer to an inspect, None where there is no such container."""
        family_id = self._family(name_or_id)
        if family_id is None:
            return None
        state = self.states[family_id]
        health: dict[str, Any] = {"Status": "healthy" if state == "running" else "unhealthy", "Log": []}
        return {
            "Id": container_id(family_id),
            "Name": f"/{naming.container_name(family_id)}",
            "Created": self._started.isoformat(),
            "State": {"Status": state, "StartedAt": self._started.isoformat(), "Error": "", "Health": health},
            "Config": {"Labels": naming.family_labels(self.stack, "recorded", family_id)},
            "NetworkSettings": {"Ports": {}},
        }

    def _family(self, name_or_id: str) -> UUID | None:
        """Return the family of a container; both its name and its id end in the family's own."""
        with contextlib.suppress(ValueError):
            family_id = UUID(name_or_id[-32:])
            return family_id if family_id in self.states else None
        return None

    def stopped(self, id_: str) -> None:
        """Mark a container as exited."""
        family_id = self._family(id_)
        if family_id:
            self.states[family_id] = "exited"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"
    _counted = 0.0

    def do_GET(self) -> None:
        """Answer requests that only read."""
        recording, path = self.server.recording, self._path()
        found = re.fullmatch(r"/containers/([\w-]+)/json", path)
        recording.asked("list" if path == "/containers/json" else "inspect" if found else path.rpartition("/")[2])
        if path == "/_ping":
            self._answer(HTTPStatus.OK, b"OK")
        elif path == "/version":
            self._answer(HTTPStatus.OK, _VERSION)
        elif path == "/containers/json":
            self._answer(HTTPStatus.OK, recording.listed())
        elif found:
            told = recording.container_details(found[1])
            self._answer(HTTPStatus.OK if told else HTTPStatus.NOT_FOUND, told or {"message": "No such container"})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"message": "No such file"})
        recording.worked(self._spent())

    def do_POST(self) -> None:
        """Answer requests that change containers or run the probe."""
        recording, path = self.server.recording, self._path()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = "probe" if path.startswith("/exec/") else path.rpartition("/")[2]
        recording.asked(kind)
        if kind == "exec":
            self._answer(HTTPStatus.CREATED, {"Id": "e" * 64})
        elif kind == "probe":
            self._stream(_NOTHING)
        elif kind == "stop":
            recording.stopped(path.split("/")[2])
            self._answer(HTTPStatus.NO_CONTENT, b"")
        else:
            self._answer(HTTPStatus.FORBIDDEN, {"message": "this is a recording"})
        recording.worked(self._spent())

    def _spent(self) -> float:
        """Return the processor time of this connection's thread since the last call, in seconds."""
        before, self._counted = self._counted, time.thread_time()
        return self._counted - before

    def _stream(self, output: bytes) -> None:
        """Answer like a process: the connection becomes its output, in Docker's frames, until it ends."""
        self.send_response_only(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        # docker-py loses what comes together with the headers, as no real process is as quick as that.
        time.sleep(_PROCESS_SECONDS)
        self.wfile.write(b"\x01\0\0\0" + len(output).to_bytes(4, "big") + output)
        self.close_connection = True

    def _path(self) -> str:
        return re.sub(r"^/v[\d.]+", "", self.path.partition("?")[0])

    def _answer(self, status: HTTPStatus, body: object) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response_only(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain" if isinstance(body, bytes) else "application/json")
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        """Return a name for the caller: a unix socket has no client address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, recording: Recording) -> None:
        self.recording = recording
        super().__init__(str(path), _Handler)


@contextlib.contextmanager
def playing(recording: Recording, folder: Path) -> Iterator[str]:
    """Answer from a recording, and yield its DOCKER_HOST."""
    path = folder / "docker.sock"
    with _Server(path, recording) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()
    path.unlink()
