"""What callers by HTTP wait for, on three kinds of threads, so that nobody waits for what somebody else needs.

Signs of life are written down on a thread that never asks Docker. The first look at a family, which is all that it
takes where its agent is up, stands behind no family that boots; those are looked at again and again in turns, on
threads of their own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from fleet.errors import FleetError
from fleet.registry import Family
from reaper.context import Context
from reaper.http.heartbeat import Heartbeat
from reaper.wake.operation import WakeOperation
from reaper.wake.runtime import Runtime
from reaper.wake.waker import Waker

if TYPE_CHECKING:
    from uuid import UUID

_Result = TypeVar("_Result")

_FIRST_LOOKS, _NEXT_LOOKS = 40, 32
# A heartbeat is written down by then; its sender is not kept waiting for a daemon that hangs.
_HEARTBEAT_SECONDS = 5.0


class Requests:
    """Everything that is under way for HTTP's callers. To be used on one event loop."""

    def __init__(self, context: Context, waker: Waker) -> None:
        """Begin with nothing under way."""
        self._context, self._waker = context, waker
        self._notes = ThreadPoolExecutor(1, "note")
        self._first_looks = ThreadPoolExecutor(_FIRST_LOOKS, "look")
        self._next_looks = ThreadPoolExecutor(_NEXT_LOOKS, "wait")
        self._under_way: dict[UUID, asyncio.Task[Runtime]] = {}

    async def heartbeat(self, family: Family) -> Runtime:
        """Take a heartbeat. Raises what `Heartbeat` does, and FleetError where the daemon takes too long."""
        beat = Heartbeat(self._context, self._waker, family)
        await _on(self._notes, beat.record)
        try:
            return await asyncio.wait_for(_on(self._first_looks, beat.answer), _HEARTBEAT_SECONDS)
        except TimeoutError as error:
            raise FleetError(f"docker: no answer for a heartbeat within {_HEARTBEAT_SECONDS:.0f} s") from error

    async def ensure(self, family: Family) -> Runtime:
        """Return the family's agent once it answers; all who ask at a time wait for the same attempt.

        Raises what `Waker.ensure` does.
        """
        flight = self._under_way.get(family.id)
        if flight is None:
            flight = asyncio.create_task(self._fly(family))
            self._under_way[family.id] = flight
            flight.add_done_callback(lambda _: self._under_way.pop(family.id, None))
        # A caller that hangs up must not end the others' attempt.
        return await asyncio.shield(flight)

    async def _fly(self, family: Family) -> Runtime:
        with self._waker.counting():
            attempt = WakeOperation(self._context, family, "touched", "ensure")
            try:
                await _on(self._notes, attempt.record)
                runtime = await _on(self._first_looks, attempt.step)
                while runtime is None:
                    await asyncio.sleep(attempt.pause())
                    runtime = await _on(self._next_looks, attempt.step)
                return runtime
            finally:
                if attempt.holds:
                    await _on(self._notes, attempt.close)


def _on(threads: Executor, work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
    return asyncio.get_running_loop().run_in_executor(threads, work)
