"""Gets a family's agent running and healthy: once, whoever asks and from how many processes at a time."""

import logging
from collections.abc import Callable

from fleet.problems import FleetError
from fleet.registry import Family
from reaper.attempt import GAP_SECONDS, Attempt, look, milliseconds, not_provisioned, stopping, url_of
from reaper.background import Background
from reaper.context import Context
from reaper.database import StoreError
from reaper.decide import MISSING, RUNNING
from reaper.runtime import NotProvisionedError, Runtime, SuspendedError, WakeError

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
        try:
            _refuse_suspended(family)
            attempt = Attempt(self._context, family, signal, reason)
            try:
                return attempt.wait()
            finally:
                attempt.close()
        except WakeError as error:
            self._context.meters.failed_wakes.labels(error.code).inc()
            raise

    def nudge(self, family: Family) -> Runtime:
        """Take a heartbeat: say how the family is, and wake it in the background if it does not run."""
        context = self._context
        began = context.clock.monotonic()
        _refuse_suspended(family)
        context.meters.heartbeats.inc()
        holder = context.store.mark(family.id, "heartbeat", context.clock.now())
        seen = look(context, family)
        if seen is None and not self._had_a_container(family):
            raise NotProvisionedError(not_provisioned(family))
        if seen and seen.state == RUNNING and not stopping(holder):
            state = "awake" if seen.healthy else "starting"
            return Runtime(family.name, state, url_of(context, seen), False, milliseconds(context, began))
        self.ensure_later(family, signal="heartbeat", reason="heartbeat")
        return Runtime(family.name, "waking", None, False, milliseconds(context, began))

    def _had_a_container(self, family: Family) -> bool:
        """Tell whether there was one a moment ago: a roll deletes one before it creates the next."""
        try:
            row = self._context.store.row(family.id)
        except StoreError:
            return False
        if row.state == MISSING:
            missing_for = self._context.clock.now() - (row.state_since or 0.0)
            return row.healthy_id is not None and missing_for < GAP_SECONDS
        return row.state in {"awake", "asleep"}

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


def _refuse_suspended(family: Family) -> None:
    if family.state == "suspended":
        raise SuspendedError(f"{family.name} is suspended in the registry; set `state: active` to use it")
