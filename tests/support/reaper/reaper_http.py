"""The reaper's HTTP API, served in this process."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from fleet import keys
from reaper.clock import Clock
from reaper.http.app import Api
from reaper.http.server import client_limits
from reaper.wake.waker import Waker
from tests.support.reaper.reaper import REAPER_KEY, ReaperUnderTest


@dataclass
class Served:
    """A reaper that is served on a port of this machine."""

    reaper: ReaperUnderTest
    port: int
    client: httpx.Client

    def token(self, name: str, key: str = REAPER_KEY) -> str:
        """Return a family's own token."""
        return keys.heartbeat_token_for(key, self.reaper.context.families.current().get(name).id)

    def ask(self, method: str, path: str, token: str | None = None, **values: Any) -> httpx.Response:
        """Send one request."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= values.pop("headers", {})
        return self.client.request(method, path, headers=headers, **values)


@contextlib.contextmanager
def serving(reaper: ReaperUnderTest) -> Iterator[Served]:
    """Serve a reaper as the daemon does, on real clocks."""
    reaper.context.clock = Clock()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        app = Api(reaper.context, Waker(reaper.context)).app()
        config = uvicorn.Config(app, log_config=None, lifespan="off", server_header=False, **client_limits())
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        try:
            # A context of its own for TLS takes longer to load than all requests of a test.
            with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=20) as client:  # noqa: S501
                yield Served(reaper, port, client)
        finally:
            server.should_exit = True
            thread.join()
