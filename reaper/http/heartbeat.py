"""A device's heartbeat: written down first, whatever Docker does, and then answered from one look."""

from fleet.registry import Family
from reaper.context import Context
from reaper.policy.facts import MISSING, RUNNING
from reaper.store.database import StoreError
from reaper.wake.operation import GAP_SECONDS, look, milliseconds, not_provisioned, refuse_suspended, stopping, url_of
from reaper.wake.runtime import NotProvisionedError, Runtime
from reaper.wake.waker import Waker


class Heartbeat:
    """One heartbeat of one family: `note` it, then `answer` it."""

    def __init__(self, context: Context, waker: Waker, family: Family) -> None:
        """Let its time begin. Raises SuspendedError."""
        refuse_suspended(family)
        self._context, self._waker, self._family = context, waker, family
        self._began = context.clock.monotonic()
        self._stopping = False

    def record(self) -> None:
        """Write it down. Never raises, and never waits for Docker."""
        self._context.metrics.heartbeats.inc()
        self._stopping = stopping(
            self._context.store.record_activity(self._family.id, "heartbeat", self._context.clock.now())
        )

    def answer(self) -> Runtime:
        """Say how the family is, and wake it in the background if it does not run.

        Raises NotProvisionedError, and FleetError where the daemon does not answer.
        """
        context, family = self._context, self._family
        seen = look(context, family)
        if seen is None and not self._had_a_container():
            raise NotProvisionedError(not_provisioned(family))
        state, url = "waking", None
        if seen and seen.state == RUNNING and not self._stopping:
            state, url = "awake" if seen.healthy else "starting", url_of(context, seen)
        else:
            self._waker.ensure_later(family, signal="heartbeat", reason="heartbeat")
        return Runtime(family.name, state, url, False, milliseconds(context, self._began))

    def _had_a_container(self) -> bool:
        """Tell whether there was one a moment ago: a roll deletes one before it creates the next."""
        try:
            row = self._context.store.row(self._family.id)
        except StoreError:
            return False
        if row.state == MISSING:
            missing_for = self._context.clock.now() - (row.state_since or 0.0)
            return row.healthy_id is not None and missing_for < GAP_SECONDS
        return row.state in {"awake", "asleep"}
