"""Gets a family's agent running and healthy: once, whoever asks and from how many processes at a time."""

import contextlib
import logging
from collections.abc import Callable, Iterator

from fleet.errors import FleetError
from fleet.registry import Family
from reaper.context import Context
from reaper.wake.background import Background
from reaper.wake.operation import WakeOperation
from reaper.wake.runtime import Runtime, WakeError

log = logging.getLogger("reaper")

# Whoever waits for a container that boots by itself, or does not come up, keeps nobody else waiting; how many boot at a
# time is bounded by leases.
_AT_ONCE = 64


class Waker:
    """Starts families, at most `max_boots` at a time on this host."""

    def __init__(self, context: Context) -> None:
        """Work on this reaper's parts."""
        self._context = context
        self._background = Background("wake", _AT_ONCE)

    def ensure(self, family: Family, *, signal: str = "touched", reason: str = "ensure") -> Runtime:
        """Return the family's agent once it answers `/health`, started if need be.

        Raises SuspendedError, NotProvisionedError, TimedOutError, and FleetError where the daemon does not answer.
        """
        with self.counting():
            attempt = WakeOperation(self._context, family, signal, reason)
            try:
                attempt.record()
                return attempt.wait()
            finally:
                attempt.close()

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count the families that cannot be had inside the block."""
        try:
            yield
        except WakeError as error:
            self._context.metrics.failed_wakes.labels(error.code).inc()
            raise

    def ensure_later(
        self,
        family: Family,
        *,
        signal: str,
        reason: str,
        done: Callable[[FleetError | None], None] = lambda _: None,
    ) -> None:
        """Wake a family in the background, unless that is under way in this process.

        `done` learns what it failed by, None where it did not.
        """

        def work() -> None:
            failed: FleetError | None = None
            try:
                # It may have waited its turn for long: the registry of now counts.
                current = self._context.families.find(str(family.id)) or family
                self.ensure(current, signal=signal, reason=reason)
            except FleetError as error:
                failed = error
                log.error("%s: not woken: %s", family.name, error)  # noqa: TRY400 - said in full
            done(failed)

        self._background.submit(family.id, work)

    def wait(self) -> None:
        """Wait until nothing is being woken in the background."""
        self._background.wait()
