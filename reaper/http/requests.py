"""The requests of devices and services that may take a while: heartbeats, and single-flight `ensure`."""

import asyncio
from typing import TYPE_CHECKING

from fleet.errors import FleetError
from fleet.registry import Family
from reaper.context import Context
from reaper.policy.facts import MISSING, RUNNING
from reaper.store.database import StoreError
from reaper.wake.operation import (
    GAP_SECONDS,
    WakeOperation,
    check_active,
    find_container,
    milliseconds,
    not_provisioned,
    record_activity,
    url_of,
)
from reaper.wake.runtime import NotProvisionedError, Runtime
from reaper.wake.waker import Waker

if TYPE_CHECKING:
    from uuid import UUID

# The sender of a heartbeat does not wait longer for a daemon that hangs.
_HEARTBEAT_SECONDS = 5.0


class Requests:
    """All requests under way. Use it on one event loop."""

    def __init__(self, context: Context, waker: Waker) -> None:
        """Start without a request; the waker's workers do the work."""
        self._context, self._waker = context, waker
        self._under_way: dict[UUID, asyncio.Future[Runtime]] = {}

    async def heartbeat(self, family: Family) -> Runtime:
        """Record a heartbeat and answer how the family is.

        Raises what `Heartbeat` does, and FleetError if Docker does not answer in time.
        """
        heartbeat = Heartbeat(self._context, self._waker, family)
        try:
            # However long the store takes, and although its sender may be gone.
            await asyncio.shield(self._waker.workers.record(heartbeat))
            return await asyncio.wait_for(self._waker.workers.finish(heartbeat), _HEARTBEAT_SECONDS)
        except TimeoutError as error:
            raise FleetError(f"docker: no answer for a heartbeat within {_HEARTBEAT_SECONDS:.0f} s") from error

    async def ensure(self, family: Family) -> Runtime:
        """Return the family's agent once it answers; concurrent callers share one operation.

        Raises what `Waker.ensure` does.
        """
        shared = self._under_way.get(family.id)
        if shared is None:
            operation = WakeOperation(self._context, family, "touched", "ensure")
            shared = asyncio.ensure_future(self._wake(operation))
            self._under_way[family.id] = shared
            shared.add_done_callback(lambda _: self._under_way.pop(family.id, None))
        # A caller that hangs up must not cancel the operation for the others.
        return await asyncio.shield(shared)

    async def _wake(self, operation: WakeOperation) -> Runtime:
        await self._waker.workers.record(operation)
        return await self._waker.workers.finish(operation)


class Heartbeat:
    """A device's heartbeat, an operation of two steps: the first records it, whatever Docker does; the second looks."""

    def __init__(self, context: Context, waker: Waker, family: Family) -> None:
        """Start the time of the answer's `ms`. Raises SuspendedError."""
        check_active(family)
        self._context, self._waker, self._family = context, waker, family
        self._began = context.clock.monotonic()
        self._recorded = self._stopping = False

    def step(self) -> Runtime | None:
        """Record the heartbeat, or answer it. Raises NotProvisionedError, and FleetError if Docker does not answer."""
        if self._recorded:
            return self._answer()
        self._context.metrics.heartbeats.inc()
        self._stopping = record_activity(self._context, self._family, "heartbeat")
        self._recorded = True
        return None

    def pause(self) -> float:
        """Return 0: there are two steps."""
        return 0.0

    def close(self) -> None:
        """Do nothing: a heartbeat holds nothing."""

    def _answer(self) -> Runtime:
        """Say how the family is, and wake it in the background if it does not run."""
        context, family = self._context, self._family
        seen = find_container(context, family)
        if seen is None and not self._had_a_container():
            raise NotProvisionedError(not_provisioned(family))
        state, url = "waking", None
        if seen and seen.state == RUNNING and not self._stopping:
            state, url = "awake" if seen.healthy else "starting", url_of(context, seen)
        else:
            self._waker.ensure_later(family, signal="heartbeat", reason="heartbeat")
        return Runtime(family.name, state, url, False, milliseconds(context, self._began))

    def _had_a_container(self) -> bool:
        """Tell whether the family had a container a moment ago: a roll deletes one before it creates the next."""
        try:
            row = self._context.store.row(self._family.id)
        except StoreError:
            return False
        if row.state == MISSING:
            missing_for = self._context.clock.now() - (row.state_since or 0.0)
            return row.healthy_id is not None and missing_for < GAP_SECONDS
        return row.state in {"awake", "asleep"}
