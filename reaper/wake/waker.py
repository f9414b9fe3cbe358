"""Wakes families for this process's callers: on their own thread, or in the background."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from fleet.errors import FleetError
from fleet.registry import Family
from reaper.context import Context
from reaper.wake.operation import WakeOperation
from reaper.wake.runtime import Runtime
from reaper.wake.workers import Workers

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger("reaper")


class Waker:
    """Starts families, at most `max_boots` at once on this host. `workers` take the steps that no caller takes."""

    def __init__(self, context: Context) -> None:
        """Wake this reaper's families."""
        self._context = context
        self.workers = Workers(context.clock)
        self._under_way: set[UUID] = set()
        self._changed = threading.Condition()

    def ensure(self, family: Family, *, signal: str = "touched", reason: str = "ensure") -> Runtime:
        """Return the family's agent once it answers `/health`, started if need be. The caller's thread is the worker.

        Raises SuspendedError, NotProvisionedError, TimedOutError, and FleetError if the daemon does not answer.
        """
        return WakeOperation(self._context, family, signal, reason).run()

    def ensure_later(
        self,
        family: Family,
        *,
        signal: str,
        reason: str,
        done: Callable[[FleetError | None], None] = lambda _: None,
    ) -> None:
        """Wake a family in the background, unless this process is already doing so.

        `done` gets the error, or None if the family is awake.
        """
        with self._changed:
            if family.id in self._under_way:
                return
            self._under_way.add(family.id)

        def ended(error: BaseException | None) -> None:
            try:
                if error is not None:
                    bug = None if isinstance(error, FleetError) else error
                    log.error("%s: not woken: %s", family.name, error, exc_info=bug)
                if error is None or isinstance(error, FleetError):
                    done(error)
            finally:
                with self._changed:
                    self._under_way.discard(family.id)
                    self._changed.notify_all()

        self.workers.submit(WakeOperation(self._context, family, signal, reason), ended)

    def wait(self) -> None:
        """Wait until no family is being woken in the background, and every `done` has returned."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)
