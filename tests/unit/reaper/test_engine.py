"""What plain Docker's answers are made of, and what happens as Docker itself changes."""

import json
import re
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fleet.errors import FleetError
from reaper.engine import DockerEngine, parse_time


class Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A Docker daemon without containers, which speaks some versions of its API."""

    daemon_threads = True
    newest, oldest = "1.41", "1.24"


class Answer(BaseHTTPRequestHandler):
    """One request to it."""

    protocol_version = "HTTP/1.1"
    server: Daemon

    def do_GET(self) -> None:
        """Answer with nothing, or that the version is too old."""
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
        """Have no address: it is a socket in a folder."""
        return ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


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


def test_a_docker_that_was_upgraded_is_talked_to_in_its_own_version(daemon: Daemon) -> None:
    """The first call says what Docker said, not that it is away; the next one gets through, whichever it is."""
    engine = DockerEngine()
    try:
        assert engine.list() == {}
        daemon.newest, daemon.oldest = "1.52", "1.44"
        with pytest.raises(FleetError, match=r"^docker: the daemon answers with an error .*client version 1.41 is too"):
            engine.list()
        assert engine.list() == {}
        daemon.newest, daemon.oldest = "1.60", "1.55"
        with pytest.raises(FleetError, match="too old"):
            engine.inspect("any")
        with pytest.raises(FleetError, match="there is no such container"):
            engine.inspect("any")
    finally:
        engine.close()


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "1970-01-01T00:00:00Z", "0000-00-00", "", None]
)
def test_a_zero_time_is_none(text: str | None) -> None:
    """Whichever zero it is: what was made or started then has no time that can be read."""
    assert parse_time(text) is None
    assert parse_time("2026-11-21T20:00:00.123456789Z") == 1795291200.123456


class Loud:
    """A client whose containers have an escape in their log."""

    def logs(self, container: str, *, tail: int) -> bytes:
        """Answer with it."""
        assert (container, tail) == ("c", 30)
        return b"\x1b]0;owned\x07one\n\x1b[2Jtwo\xff\xc2\x9b"


def test_log_lines_cannot_move_the_operators_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are shown as lines, without what does not print."""
    engine = DockerEngine()
    monkeypatch.setitem(vars(engine), "_api", Loud())  # setattr would read it first, and so connect
    assert engine.logs("c", 30) == " ]0;owned one\n [2Jtwo\ufffd "
