"""One wake of one family: a state machine whose steps may be taken on any thread, one after the other."""

import contextlib
import logging
from enum import IntEnum

from fleet import naming
from fleet.errors import FleetError
from fleet.registry import Family
from reaper.context import Context
from reaper.engine import ContainerDetails, GoneError, healthy, owned
from reaper.policy.facts import RUNNING
from reaper.store import Entry, Lease
from reaper.store.database import StoreError
from reaper.wake.boot_slot import WAKING, BootSlot
from reaper.wake.runtime import NoBootSlotError, NotProvisionedError, Runtime, SuspendedError, TimedOutError, WakeError

log = logging.getLogger("reaper")

LOG_LINES = 30

_STARTABLE = frozenset({"created", "exited", "dead"})
# Most agents are up after the first few seconds; after that they are polled less often.
_POLL_SECONDS, _POLL_LATER_SECONDS = 0.05, 0.25
_POLL_LATER_AFTER = 5.0
# Very many families may wait for a boot slot, for a stop to end, or for Docker.
_WAIT_SECONDS, _WAIT_LATER_SECONDS = 0.25, 1.0
# A daemon that restarts does not answer for this long at most.
_DAEMON_SECONDS = 20.0
_START_AGAIN_SECONDS = 2.0
# A longer wait counts as a request when it ends: a boot may take longer than idle_after.
_LONG_WAIT_MS = 1000
# Between creating a container and writing its files.
_BEING_MADE_SECONDS = 5.0
# A roll deletes a container before it creates the next one.
GAP_SECONDS, _UNSEEN_SECONDS = 60.0, 3.0


class State(IntEnum):
    """How far a wake has come. It never goes back."""

    ASKED = 0
    WAITING = 1
    QUEUED = 2
    BOOTING = 3
    READY = 4


class WakeOperation:
    """Takes a family from `State.ASKED` to `State.READY`: `step` until it returns the agent or raises.

    A step does what can be done now. It blocks for three of Docker's calls at most, each bounded by the client.
    """

    def __init__(self, context: Context, family: Family, signal: str, reason: str) -> None:
        """Prepare a wake, whose time starts with its first step. It records `signal`, and `reason` in the ledger."""
        self.state = State.ASKED
        self._context, self._family = context, family
        self._signal, self._reason = signal, reason
        self._began = context.clock.monotonic()
        self._slot = BootSlot(context, family)
        self._stopping = self._closed = False
        self._started_id: str | None = None
        self._started_at = 0.0
        self._missing_since: float | None = None
        self._failing_since: float | None = None
        self._seen: ContainerDetails | None = None
        self._errors: list[str] = []

    def run(self) -> Runtime:
        """Take all steps on this thread. Raises what `step` does."""
        try:
            self.step()
            while (runtime := self.step()) is None:
                self._context.clock.sleep(self.pause())
            return runtime
        finally:
            self._slot.close()

    def step(self) -> Runtime | None:
        """Do what can be done now; return the agent once it answers `/health`. The end gives all leases back.

        Raises SuspendedError, NotProvisionedError, TimedOutError, and FleetError if the daemon does not answer.
        """
        runtime = None
        if self._closed:
            return None
        try:
            if self.state is State.ASKED:
                self._record()
            else:
                runtime = self._poll()
        except BaseException as error:
            self._slot.close()
            if isinstance(error, WakeError):
                self._context.metrics.failed_wakes.labels(error.code).inc()
            raise
        if runtime:
            self._slot.close()
        return runtime

    def pause(self) -> float:
        """Return the seconds to wait before the next step."""
        boots = self.state is State.BOOTING
        soon, later = (_POLL_SECONDS, _POLL_LATER_SECONDS) if boots else (_WAIT_SECONDS, _WAIT_LATER_SECONDS)
        return soon if self._context.clock.monotonic() - self._began < _POLL_LATER_AFTER else later

    def close(self) -> None:
        """Give all leases back; a step that was postponed until now does nothing any more."""
        self._closed = True
        self._slot.close()

    def _record(self) -> None:
        """Record the activity before anything is looked at, so that a stop sees it; this never waits for Docker."""
        # The operation may have been postponed: the current registry counts.
        self._family = self._context.families.find(str(self._family.id)) or self._family
        check_active(self._family)
        self._began = self._context.clock.monotonic()
        self._stopping = record_activity(self._context, self._family, self._signal)
        self.state = State.WAITING

    def _poll(self) -> Runtime | None:
        """Look at the container and act. A daemon that does not answer is asked again for 20 s."""
        context = self._context
        if context.ended.is_set():
            # A start that is under way goes on without this process.
            raise TimedOutError(f"{self._family.name}: the reaper is ending; ask again in a moment")
        runtime = None
        try:
            runtime = self._act(find_container(context, self._family))
            self._failing_since = None
        except WakeError:
            raise
        except FleetError as error:
            now = context.clock.monotonic()
            self._failing_since = now if self._failing_since is None else self._failing_since
            self._errors.append(str(error))
            if now - self._failing_since > _DAEMON_SECONDS:
                raise
        if runtime is None and context.clock.monotonic() >= self._began + context.settings.health_timeout:
            raise self._timed_out()
        return runtime

    def _act(self, seen: ContainerDetails | None) -> Runtime | None:
        """Do the next thing for a container as it is now; return the agent once it is healthy."""
        now = self._context.clock.monotonic()
        self._slot.renew()
        if seen is None:
            self._missing_since = now if self._missing_since is None else self._missing_since
            if now - self._missing_since > (GAP_SECONDS if self._seen else _UNSEEN_SECONDS):
                raise NotProvisionedError(not_provisioned(self._family))
            return None
        self._missing_since, self._seen = None, seen
        if self._stopping:
            self._stopping = record_activity(self._context, self._family, "touched")
        elif seen.state not in _STARTABLE:
            self._reach(State.BOOTING)
            if seen.state == RUNNING and seen.port and healthy(self._context.settings.url_host, seen.port):
                return self._ready(seen)
        elif self._is_due(seen, now):
            if self._slot.held:
                self._start(seen, now)
            elif self._slot.take():
                self._reach(State.BOOTING)
                # The container may have changed before the slot was taken.
                return self._act(find_container(self._context, self._family))
            else:
                self._reach(State.QUEUED)
        return None

    def _reach(self, state: State) -> None:
        self.state = max(self.state, state)

    def _is_due(self, seen: ContainerDetails, now: float) -> bool:
        """Tell whether to start a stopped container: it is not being made, nor was it started a moment ago."""
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

    def _ready(self, seen: ContainerDetails) -> Runtime:
        context, family = self._context, self._family
        self.state = State.READY
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
        # In the queue, nothing shows that the family itself cannot start.
        if self.state is State.QUEUED and self._seen and not self._seen.error and self._slot.others_boot():
            most = context.settings.max_boots
            return NoBootSlotError(
                f"{family.name} was not started within {seconds} s: {most} others booted all the while"
            )
        lines = [f"{family.name} did not answer /health within {seconds} s"]
        lines += self._errors[-1:]
        if self._seen:
            lines.append(f"its container is {self._seen.state} {self._seen.error}".rstrip())
            lines.append(self._logs(self._seen.id))
        text = context.redact("\n".join(lines))
        with contextlib.suppress(StoreError):
            entry = Entry(context.clock.now(), family.id, "start_failed", self._reason, text)
            context.store.append([entry])
        return TimedOutError(text)

    def _logs(self, container_id: str) -> str:
        try:
            text = self._context.engine.logs(container_id, LOG_LINES)
        except FleetError as error:
            return f"its log cannot be read: {error}"
        return f"last log lines:\n{text}"


def check_active(family: Family) -> None:
    """Raise SuspendedError if the registry suspends a family."""
    if family.state == "suspended":
        raise SuspendedError(f"{family.name} is suspended in the registry; set `state: active` to use it")


def record_activity(context: Context, family: Family, signal: str) -> bool:
    """Record activity and tell whether a stop or a restart of the family is under way. Never raises."""
    holder: Lease | None = context.store.record_activity(family.id, signal, context.clock.now())
    return holder is not None and holder.purpose != WAKING


def find_container(context: Context, family: Family) -> ContainerDetails | None:
    """Return a family's container, or None. Raises NotProvisionedError for a container of another owner."""
    try:
        seen = context.engine.inspect(naming.container_name(family.id))
    except GoneError:
        return None
    if owned(seen.labels, seen.name, context.settings.stack) != family.id:
        raise NotProvisionedError(f"{family.name}: container {seen.name} was not made by this stack; it is left alone")
    return seen


def url_of(context: Context, seen: ContainerDetails) -> str | None:
    """Return the URL at which an agent's API is published."""
    return f"http://{context.settings.url_host}:{seen.port}" if seen.port else None


def milliseconds(context: Context, began: float) -> int:
    """Return the milliseconds since `began`, a time of the monotonic clock."""
    return round((context.clock.monotonic() - began) * 1000)


def not_provisioned(family: Family) -> str:
    """Return the message for a family without a container."""
    return f"{family.name} has no container on this host; pulumi up makes one"
