"""Docker's answers, upgrades of Docker, and an agent's health."""

import contextlib
import itertools
import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fleet.errors import FleetError
from reaper import engine
from reaper.engine import DockerEngine, parse_time


class Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A Docker daemon without containers that speaks some versions of the API."""

    daemon_threads = True
    newest, oldest = "1.41", "1.24"


class Answer(BaseHTTPRequestHandler):
    """One request to the daemon."""

    protocol_version = "HTTP/1.1"
    server: Daemon

    def do_GET(self) -> None:
        """Answer with an empty list, or that the version is too old."""
        asked = re.match(r"/v1\.(\d+)/", self.path)
        status, body = 200, b"[]"
        if self.path.endswith("/version"):
            body = json.dumps({"ApiVersion": self.server.newest}).encode()
        elif asked and int(asked[1]) < int(self.server.oldest.partition(".")[2]):
            status, body = 400, b'{"message": "client version 1.41 is too old. Minimum supported API version is 1.44"}'
        elif self.path.endswith("/json") and "/containers/json" not in self.path:
            status, body = 404, b'{"message": "No such container"}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return nothing: a Unix socket's client has no address."""
        return ""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """Run a daemon that `DOCKER_HOST` names."""
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with Daemon(str(path), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_api_version_is_negotiated_again_after_an_upgrade(daemon: Daemon) -> None:
    """The first call fails with Docker's own message; the next one succeeds, whichever it is."""
    docker = DockerEngine()
    try:
        assert docker.list() == {}
        daemon.newest, daemon.oldest = "1.52", "1.44"
        with pytest.raises(FleetError, match=r"^docker: the daemon answers with an error .*client version 1.41 is too"):
            docker.list()
        assert docker.list() == {}
        daemon.newest, daemon.oldest = "1.60", "1.55"
        with pytest.raises(FleetError, match="too old"):
            docker.inspect("any")
        with pytest.raises(FleetError, match="there is no such container"):
            docker.inspect("any")
    finally:
        docker.close()


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "1970-01-01T00:00:00Z", "0000-00-00", "", None]
)
def test_a_zero_time_is_none(text: str | None) -> None:
    """Any zero: the year 1, 1970, and what is not a time."""
    assert parse_time(text) is None
    assert parse_time("2026-11-21T20:00:00.123456789Z") == 1795291200.123456


class Loud:
    """A client whose containers have escape sequences in their log."""

    def logs(self, container: str, *, tail: int) -> bytes:
        """Answer with it."""
        assert (container, tail) == ("c", 30)
        return b"\x1b]0;owned\x07one\n\x1b[2Jtwo\xff\xc2\x9b"


def test_log_lines_cannot_control_the_operators_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay lines, of printable characters."""
    docker = DockerEngine()
    monkeypatch.setattr(docker, "_api", Loud())
    assert docker.logs("c", 30) == " ]0;owned one\n [2Jtwo\ufffd "


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def agent(chunks: Iterable[bytes], pause: float = 0.0) -> Iterator[int]:
    """Answer one request with these bytes, a pause before each, and close; yield the port."""
    hung_up = threading.Event()

    def answer() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.recv(4096)
            for chunk in chunks:
                hung_up.wait(pause)
                connection.sendall(chunk)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            hung_up.set()
            thread.join()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((_OK,), True),
        ((_OK[:3], _OK[3:11], _OK[11:]), True),
        ((b"HTTP/1.0 200\r\n\r\n",), True),
        ((b"HTTP/1.1 503 Service Unavailable\r\n\r\n",), False),
        ((b"HTTP/1.1 2000 OK\r\n\r\n",), False),
        ((b"HTTP/1.1 204 No Content, not 200\r\n\r\n",), False),
        ((b"SSH-2.0-x 200 OK\r\n",), False),
        ((b"\xff\xfe\x00\r\n",), False),
        ((b"\r\n",), False),
        ((), False),
    ],
)
def test_only_200_is_healthy(chunks: tuple[bytes, ...], *, expected: bool) -> None:
    """In any number of pieces; another status, another protocol and no answer are not."""
    with agent(chunks) as port:
        assert engine.healthy("127.0.0.1", port) is expected


def test_an_endless_line_is_not_healthy() -> None:
    """The reaper hangs up on an agent that floods it."""
    with agent(itertools.repeat(b"x" * 4096)) as port:
        assert not engine.healthy("127.0.0.1", port)


def test_the_deadline_is_for_the_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that sends its answer byte by byte is not healthy, though no byte is late by itself."""
    monkeypatch.setattr(engine, "_HEALTH_SECONDS", 0.5)
    with agent([bytes([byte]) for byte in _OK], pause=0.1) as port:
        assert not engine.healthy("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"])
def test_a_closed_port_is_not_healthy(host: str) -> None:
    """Nor is an invalid host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not engine.healthy(host, port)
