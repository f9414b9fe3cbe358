"""The reaper's daemon: sweeps on a schedule and serves HTTP in one process, and drops slow clients."""

import asyncio
import logging
import signal
import socket
import threading
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fleet.errors import FleetError
from reaper.context import Context
from reaper.http.app import Api, is_loopback
from reaper.sweep.sweeper import Sweeper
from reaper.wake.waker import Waker

log = logging.getLogger("reaper")

REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 10.0
_CHECK_SECONDS = 1.0
# The client still has to send something in these states: nothing came yet, part of a header, or part of a body.
_SENDING = (h11.IDLE, h11.SEND_BODY)

_VOLUMES_SECONDS = 3600.0


def dry_run(context: Context) -> None:
    """Sweep until SIGTERM or SIGINT and log what would be done; HTTP is not served."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: context.ended.set())
    sweeper = Sweeper(context, Waker(context), dry_run=True)
    while not context.ended.is_set():
        for outcome in sweeper.sweep().outcomes.values():
            if outcome.done:
                log.info("%s: %s: %s", outcome.family.name, outcome.done, outcome.decision.reason.text)
        context.ended.wait(context.settings.sweep_every)


def run(context: Context, *, behind_tls: bool) -> None:
    """Sweep and serve until SIGTERM or SIGINT.

    Raises FleetError, before the first sweep, if the address is taken or would put plain HTTP on a network.
    """
    settings = context.settings
    if not is_loopback(settings.host) and not behind_tls:
        raise FleetError(
            f"HERMES_FLEET_LISTEN: {settings.host} is not a loopback address, so tokens could be read on the network; "
            "fix: listen on 127.0.0.1, or pass --behind-tls if a proxy in front terminates TLS"
        )
    listener = _listen(settings.host, settings.port)
    log.info("listening on %s:%d, sweeping every %d s", settings.host, settings.port, settings.sweep_every)
    waker = Waker(context)
    sweeper = Sweeper(context, waker)
    threads = [
        threading.Thread(target=_keep_sweeping, args=(context, sweeper), name="sweep", daemon=True),
        threading.Thread(target=_keep_measuring, args=(context,), name="volumes", daemon=True),
    ]
    for thread in threads:
        thread.start()
    config = uvicorn.Config(
        Api(context, waker).app(),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        **client_limits(),
    )
    try:
        asyncio.run(_serve(context, uvicorn.Server(config), listener))
    finally:
        context.ended.set()
        threads[0].join(timeout=5)


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise FleetError(
            f"HERMES_FLEET_LISTEN: cannot listen on {host}:{port}: {error.strerror}; "
            "fix: end the other reaper if one is running, or choose another address"
        ) from error
    # Connections inherit it. asyncio sets it only on sockets created with an explicit protocol. Without it an answer,
    # which is written in two pieces, waits 40 ms for the caller's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _serve(context: Context, server: uvicorn.Server, listener: socket.socket) -> None:
    def end() -> None:
        # Before HTTP closes: callers who wait for a family can still be told.
        context.ended.set()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await server.serve(sockets=[listener])


def _keep_sweeping(context: Context, sweeper: Sweeper) -> None:
    resumed = False
    while not context.ended.is_set():
        began = context.clock.monotonic()
        try:
            report = sweeper.sweep(resumed=resumed, wait=False)
            # A first sweep that failed did not start the grace period after a restart.
            resumed = resumed or report.problem is None
        except Exception:
            log.exception("a sweep failed; it stopped no family")
        context.ended.wait(max(1.0, context.settings.sweep_every - (context.clock.monotonic() - began)))


def _keep_measuring(context: Context) -> None:
    while not context.ended.is_set():
        try:
            context.metrics.set_volumes(context.engine.volume_sizes())
        except FleetError as error:
            log.info("cannot measure volumes: %s", error)
        context.ended.wait(_VOLUMES_SECONDS)


class TimedProtocol(H11Protocol):
    """Close connections of slow clients (slowloris): a request has 10 s to arrive, and its answer 10 s to be taken.

    uvicorn itself waits without limit.
    """

    _sends_since: float | None = None
    _takes_since: float | None = None
    _check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start watching a connection."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching it."""
        if self._check:
            self._check.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Start the time of the next request."""
        self._sends_since = None
        super().on_response_complete()

    def _watch(self) -> None:
        now = self.loop.time()
        self._sends_since = (self._sends_since or now) if self.conn.their_state in _SENDING else None
        # An answer that the kernel has no room for. Closing the connection would wait for the client, too: abort it.
        self._takes_since = (self._takes_since or now) if self.transport.get_write_buffer_size() else None
        if now - (self._sends_since or now) > REQUEST_SECONDS or now - (self._takes_since or now) > ANSWER_SECONDS:
            self.transport.abort()
            return
        self._check = self.loop.call_later(_CHECK_SECONDS, self._watch)


def client_limits() -> dict[str, Any]:
    """Return uvicorn's options that limit what clients can use up."""
    return {
        "http": TimedProtocol,
        "ws": "none",
        "limit_concurrency": 1000,
        "timeout_keep_alive": 5,
        "h11_max_incomplete_event_size": 16 << 10,
        "backlog": 512,
    }
