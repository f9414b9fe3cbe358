"""Takes the steps of all operations, so that a hung Docker daemon never delays a heartbeat.

An event loop drives the operations: that of HTTP for its callers, one of its own for wakes in the background. Steps
block, so they run on threads. A step may take as long as a Docker call, which the client bounds to 20 s, and a hung
daemon blocks every thread that may call it. So steps that record activity have a thread of their own, which never calls
Docker, and first looks never wait for families that boot.
"""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Protocol

from fleet.errors import FleetError
from reaper.clock import Clock
from reaper.wake.runtime import Runtime

_LOOKS, _POLLS = 40, 64
# Wakes in the background at once; the others begin, and their time with them, as these end.
_BACKGROUND = 64


class Operation(Protocol):
    """Work in steps, taken on any thread, one after the other. The first step records activity and nothing else."""

    def step(self) -> Runtime | None:
        """Do what can be done now; return the result once there is one."""

    def pause(self) -> float:
        """Return the seconds to wait before the next step, asked after the second one."""


class Workers:
    """The threads that take the steps, and a loop for wakes in the background: started when needed, ended with this."""

    def __init__(self, clock: Clock) -> None:
        """Start no thread yet; `clock` times the pauses between steps."""
        self._clock = clock
        self._records = ThreadPoolExecutor(1, "record")
        self._looks = ThreadPoolExecutor(_LOOKS, "look")
        self._polls = ThreadPoolExecutor(_POLLS, "poll")
        self._background = asyncio.Semaphore(_BACKGROUND)
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, operation: Operation, *, background: bool = False) -> "Future[Runtime]":
        """Take an operation's steps until it has a result, which the future gets.

        Cancelling the future ends the operation after its first step. It gets a FleetError if no thread can be started.
        """
        try:
            loop = self._running_loop()
        except RuntimeError as error:
            refused = Future[Runtime]()
            refused.set_exception(FleetError(f"no thread can be started: {error}"))
            return refused
        return asyncio.run_coroutine_threadsafe(self.drive(operation, background=background), loop)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                started = Future[asyncio.AbstractEventLoop]()
                threading.Thread(target=_run_loop, args=(started,), name="wake", daemon=True).start()
                self._loop = started.result()
                weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
            return self._loop

    async def drive(self, operation: Operation, *, background: bool = False) -> Runtime:
        """Take an operation's steps on the running loop; `background` ones on the loop of this object alone."""
        async with self._background if background else contextlib.nullcontext():
            # A heartbeat is recorded although its sender is gone.
            await asyncio.shield(self._on(self._records, operation.step))
            runtime = await self._on(self._polls if background else self._looks, operation.step)
            while runtime is None:
                await self._clock.pause(operation.pause())
                runtime = await self._on(self._polls, operation.step)
            return runtime

    async def _on(self, threads: Executor, step: Callable[[], Runtime | None]) -> Runtime | None:
        try:
            taken = asyncio.get_running_loop().run_in_executor(threads, step)
        except RuntimeError as error:
            raise FleetError(f"no thread can be started: {error}") from error
        return await taken


def _run_loop(started: "Future[asyncio.AbstractEventLoop]") -> None:
    loop = asyncio.new_event_loop()
    started.set_result(loop)
    loop.run_forever()
    loop.close()
