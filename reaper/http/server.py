"""`python -m reaper run`: sweeps for ever and serves HTTP, in one process."""

import asyncio
import logging
import signal
import socket
import threading

import uvicorn

from fleet.errors import FleetError
from reaper.context import Context
from reaper.http import slow_clients
from reaper.http.app import Api, is_loopback
from reaper.sweep.sweeper import Sweeper
from reaper.wake.waker import Waker

log = logging.getLogger("reaper")

_VOLUMES_SECONDS = 3600.0


def dry_run(context: Context) -> None:
    """Sweep until SIGTERM or SIGINT, doing nothing but saying what would be done; HTTP is not served."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: context.ended.set())
    sweeper = Sweeper(context, Waker(context), dry_run=True)
    while not context.ended.is_set():
        for outcome in sweeper.sweep().outcomes.values():
            if outcome.done:
                log.info("%s: %s: %s", outcome.family.name, outcome.done, outcome.decision.reason.text)
        context.ended.wait(context.settings.sweep_every)


def run(context: Context, *, behind_tls: bool) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises FleetError, before anybody is looked at, where the address is taken or would put plain HTTP on a network.
    """
    settings = context.settings
    if not is_loopback(settings.host) and not behind_tls:
        raise FleetError(
            f"HERMES_FLEET_LISTEN: {settings.host} is not a loopback address, and tokens could be read on the way; "
            "listen on 127.0.0.1, or say --behind-tls where a proxy in front speaks TLS"
        )
    listener = _listen(settings.host, settings.port)
    log.info("listening on %s:%d, sweeping every %d s", settings.host, settings.port, settings.sweep_every)
    waker = Waker(context)
    sweeper = Sweeper(context, waker)
    threads = [
        threading.Thread(target=_sweep_for_ever, args=(context, sweeper), name="sweep", daemon=True),
        threading.Thread(target=_measure_for_ever, args=(context,), name="volumes", daemon=True),
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
        **slow_clients.limits(),
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
            f"HERMES_FLEET_LISTEN: {host}:{port} cannot be listened on: {error.strerror}; "
            "end the other reaper if one is running, or choose another address"
        ) from error
    # Connections inherit it. asyncio sets it by itself only on sockets that were made by name of their protocol;
    # without it an answer, which is written in two pieces, waits 40 ms for the caller's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _serve(context: Context, server: uvicorn.Server, listener: socket.socket) -> None:
    def end() -> None:
        # Now, not after HTTP has closed: whoever waits for a family can still be told.
        context.ended.set()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await server.serve(sockets=[listener])


def _sweep_for_ever(context: Context, sweeper: Sweeper) -> None:
    resumed = False
    while not context.ended.is_set():
        began = context.clock.monotonic()
        try:
            report = sweeper.sweep(resumed=resumed, wait=False)
            # A first look that failed did not begin the grace that everyone gets after a restart.
            resumed = resumed or report.problem is None
        except Exception:
            log.exception("a sweep failed; nobody was stopped by it")
        context.ended.wait(max(1.0, context.settings.sweep_every - (context.clock.monotonic() - began)))


def _measure_for_ever(context: Context) -> None:
    while not context.ended.is_set():
        try:
            context.metrics.set_volumes(context.engine.volume_sizes())
        except FleetError as error:
            log.info("volumes are not measured: %s", error)
        context.ended.wait(_VOLUMES_SECONDS)
