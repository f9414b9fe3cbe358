"""One try of one caller to get a family's agent, step by step, until it answers or the time is up."""

import contextlib
import logging

from fleet import naming
from fleet.errors import FleetError
from fleet.registry import Family
from reaper.context import Context
from reaper.engine import ContainerDetails, GoneError, healthy, owned
from reaper.policy.rules import RUNNING
from reaper.store import Entry, Lease
from reaper.store.database import StoreError
from reaper.wake.boot_slot import WAKING, BootSlot
from reaper.wake.runtime import NoBootSlotError, NotProvisionedError, Runtime, SuspendedError, TimedOutError, WakeError

log = logging.getLogger("reaper")

LOG_LINES = 30

_STARTABLE = frozenset({"created", "exited", "dead"})
# Most agents are up after the first few seconds; those that are not are asked less often.
_POLL_SECONDS, _POLL_LATER_SECONDS = 0.05, 0.25
_POLL_LATER_AFTER = 5.0
# Whoever waits for a turn to start a family may be one of very many.
_QUEUE_SECONDS, _QUEUE_LATER_SECONDS = 0.25, 1.0
# A daemon that is restarted is away for this long at most.
_DAEMON_SECONDS = 20.0
_START_AGAIN_SECONDS = 2.0
# Whoever waited for longer counts as having asked when they got it: idle_after may be shorter than a boot.
_LONG_WAIT_MS = 1000
# Between the moments in which a container is created and its files are written into it.
_BEING_MADE_SECONDS = 5.0
# A roll deletes a container before it creates the next one.
GAP_SECONDS, _UNSEEN_SECONDS = 60.0, 3.0


class WakeOperation:
    """What one call of `ensure` has seen and holds: `note`, then `step` until there is an agent, and always `close`.

    The steps may be taken on different threads, one after the other.
    """

    def __init__(self, context: Context, family: Family, signal: str, reason: str) -> None:
        """Let the caller's time begin. Raises SuspendedError."""
        refuse_suspended(family)
        self._context = context
        self._family = family
        self._signal = signal
        self._reason = reason
        self._began = context.clock.monotonic()
        self._turn = BootSlot(context, family)
        self._blocked = False
        self._started_id: str | None = None
        self._started_at = 0.0
        self._missing_since: float | None = None
        self._failing_since: float | None = None
        self._was_up = False
        self._seen: ContainerDetails | None = None
        self._errors: list[str] = []

    def record(self) -> None:
        """Write the sign of life down, before anything is looked at. Never raises, and never waits for Docker."""
        mark = self._context.store.record_activity(self._family.id, self._signal, self._context.clock.now())
        self._blocked = stopping(mark)

    @property
    def holds(self) -> bool:
        """Tell whether there is something to give back."""
        return self._turn.begun

    def close(self) -> None:
        """Give back what is held."""
        self._turn.close()

    def step(self) -> Runtime | None:
        """Look once and do what can be done now. Returns the agent once it answers `/health`.

        Raises NotProvisionedError, TimedOutError when the time is up, and FleetError where the daemon does not answer.
        A reaper that ends does not wait: what was started goes on without it.
        """
        context = self._context
        if context.ended.is_set():
            raise TimedOutError(f"{self._family.name}: the reaper is ending; ask again in a moment")
        runtime = self._try()
        if runtime is None and context.clock.monotonic() >= self._began + context.settings.health_timeout:
            raise self._timed_out()
        return runtime

    def pause(self) -> float:
        """Return how long to wait before the next step."""
        boots = self._was_up or self._turn.held
        soon, later = (_POLL_SECONDS, _POLL_LATER_SECONDS) if boots else (_QUEUE_SECONDS, _QUEUE_LATER_SECONDS)
        return soon if self._context.clock.monotonic() - self._began < _POLL_LATER_AFTER else later

    def wait(self) -> Runtime:
        """Take all steps on this thread."""
        while (runtime := self.step()) is None:
            self._context.clock.sleep(self.pause())
        return runtime

    def _try(self) -> Runtime | None:
        """Look and do the next thing; a daemon that does not answer is given some time."""
        try:
            runtime = self._act(look(self._context, self._family))
        except WakeError:
            raise
        except FleetError as error:
            now = self._context.clock.monotonic()
            self._failing_since = now if self._failing_since is None else self._failing_since
            self._errors.append(str(error))
            if now - self._failing_since > _DAEMON_SECONDS:
                raise
            return None
        self._failing_since = None
        return runtime

    def _act(self, seen: ContainerDetails | None) -> Runtime | None:
        """Do what can be done now; return the agent once it is healthy."""
        now = self._context.clock.monotonic()
        self._seen = seen or self._seen
        self._was_up = self._was_up or (seen is not None and seen.state not in _STARTABLE)
        self._turn.renew()
        if seen is None:
            self._missing_since = now if self._missing_since is None else self._missing_since
            if now - self._missing_since > (GAP_SECONDS if self._seen else _UNSEEN_SECONDS):
                raise NotProvisionedError(not_provisioned(self._family))
            return None
        self._missing_since = None
        if self._blocked:
            mark = self._context.store.record_activity(self._family.id, "touched", self._context.clock.now())
            self._blocked = stopping(mark)
            return None
        if seen.state == RUNNING:
            if seen.port and healthy(self._context.settings.url_host, seen.port):
                return self._succeed(seen)
            return None
        if seen.state in _STARTABLE and self._is_due(seen, now):
            if not self._turn.held:
                # What was seen before the turn was taken may be over: look again at once.
                return self._act(look(self._context, self._family)) if self._turn.take() else None
            self._start(seen, now)
        return None

    def _is_due(self, seen: ContainerDetails, now: float) -> bool:
        """Tell whether a stopped container is to be started: neither being made, nor started a moment ago."""
        age = self._context.clock.now() - (seen.created or 0.0)
        if seen.state == "created" and 0 <= age < _BEING_MADE_SECONDS:
            return False
        return self._started_id != seen.id or now - self._started_at >= _START_AGAIN_SECONDS

    def _start(self, seen: ContainerDetails, now: float) -> None:
        self._started_id, self._started_at = seen.id, now
        try:
            self._context.engine.start(seen.id)
        except GoneError:
            self._started_id = None
        except FleetError as error:
            self._errors.append(str(error))
            log.warning("%s: did not start: %s", self._family.name, error)

    def _succeed(self, seen: ContainerDetails) -> Runtime:
        context, family = self._context, self._family
        woken = self._started_id == seen.id
        ms = milliseconds(context, self._began)
        if woken:
            now = context.clock.now()
            context.metrics.wakes.labels(self._reason).inc()
            context.metrics.wake_seconds.observe(ms / 1000)
            context.store.record_activity(family.id, "woken", now)
            text = f"woken for: {self._reason}, healthy after {ms} ms"
            with contextlib.suppress(StoreError):
                context.store.update(
                    family.id, state="awake", state_since=now, healthy_id=seen.id, reason=self._reason, text=text
                )
                context.store.append([Entry(now, family.id, "start", self._reason, text, seen.id)])
            log.info("%s: %s", family.name, text)
        elif ms > _LONG_WAIT_MS:
            context.store.record_activity(family.id, self._signal, context.clock.now())
        return Runtime(family.name, "awake", url_of(context, seen), woken, ms)

    def _timed_out(self) -> TimedOutError:
        context, family = self._context, self._family
        seconds = context.settings.health_timeout
        if self._had_no_turn():
            most = context.settings.max_boots
            return NoBootSlotError(
                f"{family.name} was not started within {seconds} s: {most} others booted all the while"
            )
        lines = [f"{family.name} did not answer /health within {seconds} s"]
        lines += self._errors[-1:]
        if self._seen:
            lines.append(f"its container is {self._seen.state} {self._seen.error}".rstrip())
            lines.append(self._logs(self._seen.id))
        text = context.mask("\n".join(lines))
        with contextlib.suppress(StoreError):
            entry = Entry(context.clock.now(), family.id, "start_failed", self._reason, text)
            context.store.append([entry])
        return TimedOutError(text)

    def _had_no_turn(self) -> bool:
        """Tell whether others booted all the while, and nothing shows that the family itself cannot start."""
        if self._seen is None or self._seen.error or self._blocked or self._was_up or self._started_id:
            return False
        return self._turn.others_boot()

    def _logs(self, container_id: str) -> str:
        try:
            text = self._context.engine.logs(container_id, LOG_LINES)
        except FleetError as error:
            return f"its log cannot be read: {error}"
        return f"last log lines:\n{text}"


def refuse_suspended(family: Family) -> None:
    """Raise SuspendedError where the registry says that a family stays stopped."""
    if family.state == "suspended":
        raise SuspendedError(f"{family.name} is suspended in the registry; set `state: active` to use it")


def stopping(holder: Lease | None) -> bool:
    """Tell whether somebody who is stopping the family holds its lease."""
    return holder is not None and holder.purpose != WAKING


def look(context: Context, family: Family) -> ContainerDetails | None:
    """Return a family's container, None where there is none. Raises NotProvisionedError for a stranger's."""
    try:
        seen = context.engine.inspect(naming.container_name(family.id))
    except GoneError:
        return None
    if owned(seen.labels, seen.name, context.settings.stack) != family.id:
        raise NotProvisionedError(f"{family.name}: container {seen.name} was not made by this stack; it is left alone")
    return seen


def url_of(context: Context, seen: ContainerDetails) -> str | None:
    """Return where an agent's API is published."""
    return f"http://{context.settings.url_host}:{seen.port}" if seen.port else None


def milliseconds(context: Context, began: float) -> int:
    """Return how long ago that was, by the monotonic clock."""
    return round((context.clock.monotonic() - began) * 1000)


def not_provisioned(family: Family) -> str:
    """Return what is said of a family without a container."""
    return f"{family.name} has no container on this host; pulumi up makes one"
