"""Takes the steps of all operations, so that a hung Docker daemon delays no record of a heartbeat.

An event loop drives the operations: that of HTTP for its callers, one of its own for wakes in the background. Steps
block, so they run on threads. A step may take as long as three Docker calls, which the client bounds to 20 s each, and
a hung daemon blocks every thread that may call it. So steps that record activity have a thread of their own, which
never calls Docker, and a caller's first look never waits for families that boot.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

from fleet.errors import FleetError
from reaper.clock import Clock
from reaper.wake.runtime import Runtime

_Result = TypeVar("_Result")

_LOOKS, _POLLS = 40, 64
# Wakes in the background at once; the others begin, and their time with them, as these end.
_BACKGROUND = 64


class Operation(Protocol):
    """Work in steps, taken on any thread, one after the other. The first step records activity and nothing else."""

    def step(self) -> Runtime | None:
        """Do what can be done now; return the result once there is one."""

    def pause(self) -> float:
        """Return the seconds to wait before the next step, asked after the second one."""

    def close(self) -> None:
        """Release everything; no step is taken any more."""


class _Threads(ThreadPoolExecutor):
    """Threads of which one is enough: where no further one can be started, those that are there do the work."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()  # private: the only place that starts threads
        except RuntimeError:
            if not self._threads:
                raise


class Workers:
    """The threads that take the steps, and a loop for wakes in the background: started when needed, ended with this."""

    def __init__(self, clock: Clock) -> None:
        """Start no thread yet; `clock` times the pauses between steps."""
        self._clock = clock
        self._records = _Threads(1, "record")
        self._looks = _Threads(_LOOKS, "look")
        self._polls = _Threads(_POLLS, "poll")
        self._background = asyncio.Semaphore(_BACKGROUND)
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def record(self, operation: Operation) -> None:
        """Take the first step of an operation."""
        await self._on(self._records, operation.step)

    async def finish(self, operation: Operation, *, background: bool = False) -> Runtime:
        """Take all further steps of an operation. Raises what they do, and FleetError if no thread can be started."""
        try:
            runtime = await self._on(self._polls if background else self._looks, operation.step)
            while runtime is None:
                await self._clock.pause(operation.pause())
                runtime = await self._on(self._polls, operation.step)
        except BaseException:
            await asyncio.shield(self._on(self._records, operation.close))
            raise
        return runtime

    def submit(self, operation: Operation, ended: Callable[[BaseException | None], None]) -> None:
        """Take all steps of an operation in the background, then call `ended` with its error, if any, on a thread."""
        try:
            loop = self._running_loop()
        except (RuntimeError, OSError) as error:
            ended(FleetError(f"no thread can be started: {error}"))
        else:
            asyncio.run_coroutine_threadsafe(self._drive(operation, ended), loop)

    async def _drive(self, operation: Operation, ended: Callable[[BaseException | None], None]) -> None:
        failed: BaseException | None = None
        try:
            async with self._background:
                await self.record(operation)
                await self.finish(operation, background=True)
        except Exception as error:  # noqa: BLE001 - `ended` takes it
            failed = error
        try:
            await self._on(self._polls, partial(ended, failed))
        except FleetError:  # no thread
            ended(failed)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                try:
                    threading.Thread(target=_run, args=(loop,), name="wake", daemon=True).start()
                except RuntimeError:
                    loop.close()
                    raise
                self._loop = loop
                weakref.finalize(self, loop.call_soon_threadsafe, loop.stop)
            return self._loop

    async def _on(self, threads: Executor, work: Callable[[], _Result]) -> _Result:
        try:
            done = asyncio.get_running_loop().run_in_executor(threads, work)
        except RuntimeError as error:
            raise FleetError(f"no thread can be started: {error}") from error
        return await done


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
