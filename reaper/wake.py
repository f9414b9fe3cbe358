"""Gets a family's agent running and healthy: once, whoever asks and from how many processes at a time."""

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleet import identity
from fleet.problems import FleetError
from fleet.registry import Family
from reaper.context import Context
from reaper.decide import RUNNING
from reaper.engine import GoneError, Inspected
from reaper.health import healthy
from reaper.store import Entry, Lease, StoreError

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger("reaper")

LOG_LINES = 30
WAKING = "wake"

_LEASE_SECONDS = 30.0
_RENEW_SECONDS = 5.0
_POLL_SHORTEST, _POLL_LONGEST = 0.05, 0.25
# Most agents are up by then; those that are not are asked less often.
_POLL_SHORT_SECONDS = 5.0
# A daemon that is restarted is away for this long at most.
_DAEMON_SECONDS = 20.0
_START_AGAIN_SECONDS = 2.0
# Between the moments in which a container is created and its files are written into it.
_BEING_MADE_SECONDS = 5.0
# A roll deletes a container before it creates the next one.
_GAP_SECONDS, _UNSEEN_SECONDS = 60.0, 3.0


class WakeError(FleetError):
    """A family that cannot be had; `code` is a word for it."""

    code = "failed"


class UnknownError(WakeError):
    """There is no such family in the registry."""

    code = "unknown"


class SuspendedError(WakeError):
    """The registry says that the family stays stopped."""

    code = "suspended"


class NotProvisionedError(WakeError):
    """The family has no container of this stack."""

    code = "not_provisioned"


class TimedOutError(WakeError):
    """The agent did not answer `/health` in time."""

    code = "timed_out"


@dataclass(frozen=True)
class Runtime:
    """A family's agent as a caller needs it. `ms`: how long it took, `woken`: whether it had to be started."""

    name: str
    state: str
    url: str | None
    woken: bool
    ms: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return dict(vars(self))


@dataclass
class _Attempt:
    """What one call of `ensure` has seen and holds."""

    family: Family
    reason: str
    began: float
    blocked: bool = False
    lease: Lease | None = None
    slot: Lease | None = None
    renewed: float = 0.0
    started_id: str | None = None
    started_at: float = 0.0
    missing_since: float | None = None
    failing_since: float | None = None
    hurry: bool = False
    seen: Inspected | None = None
    errors: list[str] = field(default_factory=list)


class Waker:
    """Starts families, at most `max_boots` at a time on this host."""

    def __init__(self, context: Context) -> None:
        """Work on this reaper's parts."""
        self._context = context
        self._background: dict[UUID, threading.Thread] = {}
        self._lock = threading.Lock()

    def ensure(self, family: Family, *, signal: str = "touched", reason: str = "ensure") -> Runtime:
        """Return the family's agent once it answers `/health`, started if need be.

        Raises SuspendedError, NotProvisionedError, TimedOutError, and FleetError where the daemon does not answer.
        """
        context = self._context
        attempt = _Attempt(family, reason, context.clock.monotonic())
        try:
            if family.state == "suspended":
                raise SuspendedError(f"{family.name} is suspended in the registry; set `state: active` to use it")
            holder = context.store.mark(family.id, signal, context.clock.now())
            attempt.blocked = holder is not None and holder.purpose != WAKING
            runtime = self._wait(attempt)
        except WakeError as error:
            context.meters.failed_wakes.labels(error.code).inc()
            raise
        finally:
            for lease in (attempt.slot, attempt.lease):
                if lease:
                    context.store.release(lease)
        return runtime

    def nudge(self, family: Family) -> Runtime:
        """Take a heartbeat: say how the family is, and wake it in the background if it does not run."""
        context = self._context
        began = context.clock.monotonic()
        if family.state == "suspended":
            raise SuspendedError(f"{family.name} is suspended in the registry; set `state: active` to use it")
        context.meters.heartbeats.inc()
        holder = context.store.mark(family.id, "heartbeat", context.clock.now())
        seen = self._look(family)
        if seen is None:
            raise NotProvisionedError(_not_provisioned(family))
        if seen.state == RUNNING and not (holder and holder.purpose != WAKING):
            state = "awake" if seen.healthy else "starting"
            return Runtime(family.name, state, self._url(seen), False, self._ms(began))
        self.ensure_later(family, signal="heartbeat", reason="heartbeat")
        return Runtime(family.name, "waking", None, False, self._ms(began))

    def ensure_later(
        self,
        family: Family,
        *,
        signal: str,
        reason: str,
        done: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Wake a family in the background, unless that is under way in this process. `done` learns how it ended."""

        def work() -> None:
            ended = False
            try:
                self.ensure(family, signal=signal, reason=reason)
                ended = True
            except FleetError as error:
                log.error("%s: not woken: %s", family.name, error)  # noqa: TRY400 - said in full
            finally:
                done(ended)
                with self._lock:
                    del self._background[family.id]

        with self._lock:
            if family.id not in self._background:
                thread = threading.Thread(target=work, name=f"wake-{family.name}", daemon=True)
                self._background[family.id] = thread
                thread.start()

    def wait(self) -> None:
        """Wait until nothing is being woken in the background."""
        while True:
            with self._lock:
                threads = list(self._background.values())
            if not threads:
                return
            for thread in threads:
                thread.join()

    # -- one attempt

    def _wait(self, attempt: _Attempt) -> Runtime:
        clock, settings = self._context.clock, self._context.settings
        deadline = attempt.began + settings.health_timeout
        pause = _POLL_SHORTEST
        while True:
            runtime = self._try(attempt)
            if runtime:
                return runtime
            if clock.monotonic() >= deadline:
                raise self._timed_out(attempt)
            if attempt.hurry:
                attempt.hurry = False
                continue
            clock.sleep(pause)
            if clock.monotonic() - attempt.began > _POLL_SHORT_SECONDS:
                pause = min(_POLL_LONGEST, pause * 1.25)

    def _try(self, attempt: _Attempt) -> Runtime | None:
        """Look and do the next step; a daemon that does not answer is given some time."""
        try:
            runtime = self._step(attempt, self._look(attempt.family))
        except WakeError:
            raise
        except FleetError as error:
            now = self._context.clock.monotonic()
            attempt.failing_since = now if attempt.failing_since is None else attempt.failing_since
            attempt.errors.append(str(error))
            if now - attempt.failing_since > _DAEMON_SECONDS:
                raise
            return None
        attempt.failing_since = None
        return runtime

    def _step(self, attempt: _Attempt, seen: Inspected | None) -> Runtime | None:
        """Do what can be done now; return the agent once it is healthy."""
        now = self._context.clock.monotonic()
        attempt.seen = seen or attempt.seen
        if attempt.lease and now - attempt.renewed > _RENEW_SECONDS:
            self._renew(attempt, now)
        if seen is None:
            attempt.missing_since = now if attempt.missing_since is None else attempt.missing_since
            if now - attempt.missing_since > (_GAP_SECONDS if attempt.seen else _UNSEEN_SECONDS):
                raise NotProvisionedError(_not_provisioned(attempt.family))
            return None
        attempt.missing_since = None
        if attempt.blocked:
            attempt.blocked = self._held(attempt)
            return None
        if seen.state == RUNNING:
            if seen.port and healthy(self._context.settings.url_host, seen.port):
                return self._succeed(attempt, seen)
            return None
        if seen.state in {"created", "exited", "dead"} and self._may_start(attempt, seen, now):
            self._start(attempt, seen, now)
        return None

    def _held(self, attempt: _Attempt) -> bool:
        """Tell whether somebody who is stopping the family still holds its lease."""
        family = attempt.family
        holder = self._context.store.mark(family.id, "touched", self._context.clock.now())
        return holder is not None and holder.purpose != WAKING

    def _may_start(self, attempt: _Attempt, seen: Inspected, now: float) -> bool:
        """Tell whether this caller is the one to start the container, now. Takes the leases for it."""
        context = self._context
        age = context.clock.now() - (seen.created or 0.0)
        if seen.state == "created" and 0 <= age < _BEING_MADE_SECONDS:
            return False
        if attempt.started_id == seen.id and now - attempt.started_at < _START_AGAIN_SECONDS:
            return False
        try:
            if attempt.lease is None:
                attempt.lease = context.store.acquire(attempt.family.id, WAKING, _LEASE_SECONDS)
                attempt.renewed = now
                # What was seen before the lease was taken may be over: look again at once.
                attempt.hurry = attempt.lease is not None
                return False
            for number in range(context.settings.max_boots) if attempt.slot is None else ():
                attempt.slot = context.store.acquire(f"boot:{number}", WAKING, _LEASE_SECONDS)
                if attempt.slot:
                    break
        except StoreError as error:
            # Starting twice does no harm, and not starting does.
            log.warning("%s: woken without a lease: %s", attempt.family.name, error)
            return True
        return attempt.slot is not None

    def _renew(self, attempt: _Attempt, now: float) -> None:
        attempt.renewed = now
        with contextlib.suppress(StoreError):
            for lease in (attempt.lease, attempt.slot):
                if lease:
                    self._context.store.renew(lease, _LEASE_SECONDS)

    def _start(self, attempt: _Attempt, seen: Inspected, now: float) -> None:
        attempt.started_id, attempt.started_at = seen.id, now
        try:
            self._context.engine.start(seen.id)
        except GoneError:
            attempt.started_id = None
        except FleetError as error:
            attempt.errors.append(str(error))
            log.warning("%s: did not start: %s", attempt.family.name, error)

    def _succeed(self, attempt: _Attempt, seen: Inspected) -> Runtime:
        context, family = self._context, attempt.family
        woken = attempt.started_id == seen.id
        ms = self._ms(attempt.began)
        if woken:
            now = context.clock.now()
            context.meters.wakes.labels(attempt.reason).inc()
            context.meters.wake_seconds.observe(ms / 1000)
            context.store.mark(family.id, "woken", now)
            text = f"woken for: {attempt.reason}, healthy after {ms} ms"
            with contextlib.suppress(StoreError):
                context.store.note(
                    family.id, state="awake", state_since=now, healthy_id=seen.id, reason=attempt.reason, text=text
                )
                context.store.append([Entry(now, family.id, "start", attempt.reason, text, seen.id)])
            log.info("%s: %s", family.name, text)
        return Runtime(family.name, "awake", self._url(seen), woken, ms)

    def _timed_out(self, attempt: _Attempt) -> TimedOutError:
        context, family = self._context, attempt.family
        seconds = context.settings.health_timeout
        lines = [f"{family.name} did not answer /health within {seconds} s"]
        lines += attempt.errors[-1:]
        if attempt.seen:
            lines.append(f"its container is {attempt.seen.state} {attempt.seen.error}".rstrip())
            lines.append(self._logs(attempt.seen.id))
        text = context.mask("\n".join(lines))
        with contextlib.suppress(StoreError):
            entry = Entry(context.clock.now(), family.id, "start_failed", attempt.reason, text)
            context.store.append([entry])
        return TimedOutError(text)

    def _logs(self, container_id: str) -> str:
        try:
            text = self._context.engine.logs(container_id, LOG_LINES)
        except FleetError as error:
            return f"its log cannot be read: {error}"
        return f"last log lines:\n{text}"

    def _look(self, family: Family) -> Inspected | None:
        try:
            seen = self._context.engine.inspect(identity.container_name(family.id))
        except GoneError:
            return None
        if not self._context.owns(seen.name, dict(seen.labels), family):
            raise NotProvisionedError(
                f"{family.name}: container {seen.name} was not made by this stack; it is left alone"
            )
        return seen

    def _url(self, seen: Inspected) -> str | None:
        return f"http://{self._context.settings.url_host}:{seen.port}" if seen.port else None

    def _ms(self, began: float) -> int:
        return round((self._context.clock.monotonic() - began) * 1000)


def _not_provisioned(family: Family) -> str:
    return f"{family.name} has no container on this host; pulumi up makes one"
