"""A stand-in for a Docker daemon, for as long as a preview takes.

The provider pings the daemon once and refuses to preview anything without an answer; nothing else of a preview needs
one. So a pipeline without a Docker host gets a socket that answers the ping, and says no to everything else.
"""

import socketserver
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

API_VERSION = "1.41"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        ping = self.path.rpartition("/")[2] == "_ping"
        self._answer(HTTPStatus.OK if ping else HTTPStatus.NOT_IMPLEMENTED, b"OK" if ping else b"no daemon here")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Api-Version", API_VERSION)
        self.send_header("OSType", "linux")
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def address_string(self) -> str:
        return "local"  # a unix socket's peer has no address

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it that
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def ping_socket() -> Iterator[str]:
    """Serve the ping on a socket of its own and yield its address in the form of `DOCKER_HOST`."""
    with tempfile.TemporaryDirectory(prefix="hermes-fleet-") as folder:
        path = Path(folder) / "docker.sock"
        with _Server(str(path), _Answers) as server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            try:
                yield f"unix://{path}"
            finally:
                server.shutdown()
                thread.join()
