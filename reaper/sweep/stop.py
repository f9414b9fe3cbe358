"""Probes the families with no known reason to stay awake, and stops the idle ones in two phases.

A decision is made from a reading that is some time old. So a stop takes the family's lease, inspects this container
again, probes its agent again, reads the store again, and only then stops it, by ID. A request or heartbeat is stored
before the lease is looked at: either the second reading sees it, or its sender sees the lease.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum
from uuid import UUID

from fleet.errors import FleetError
from reaper.clock import next_beat
from reaper.context import Context
from reaper.engine import GoneError
from reaper.policy.facts import RUNNING
from reaper.policy.rules import Action
from reaper.store import Entry, Lease
from reaper.store.database import StoreError
from reaper.sweep.probe import Decided, decide_family, read_candidate, read_family

log = logging.getLogger("reaper")

_WORKERS = 4
# How many families a sweep probes for each stop that it may make; the others are probed at later sweeps.
_PROBES_PER_STOP = 2
# Docker answers a stop once the container is down; this much longer than the grace means that it does not answer.
_MARGIN_SECONDS = 30


class Stopped(StrEnum):
    """How a stop ended."""

    DONE = "stopped"
    BUSY = "busy after all"
    HELD = "leased by another process"
    REPLACED = "replaced meanwhile"
    FAILED = "failed"


class Stops:
    """Probes and stops families: one batch at a time, least recently probed first."""

    def __init__(self, context: Context, *, dry_run: bool) -> None:
        """Work on a reaper's parts; with `dry_run` nothing is stopped or written."""
        self._context = context
        self._dry_run = dry_run
        self._probed_at: dict[UUID, float] = {}
        self._batch: dict[UUID, Future[Decided]] = {}

    def process(self, decided: Iterable[Decided], grace_since: float, *, wait: bool) -> list[Decided]:
        """Probe the candidates among a sweep's families and stop the idle ones; return an outcome for each.

        With `wait=False` that happens in the background: the outcomes then say which families are being probed. While
        an earlier batch is still running, all candidates are left to a later sweep.
        """
        candidates = [each for each in decided if each.decision.action in {Action.STOP, Action.PROBE}]
        # Stops that need no probe come first.
        candidates.sort(
            key=lambda each: (self._probed_at.get(each.family.id, 0.0), each.decision.action is Action.PROBE)
        )
        most = self._context.settings.max_stops * _PROBES_PER_STOP
        batch = {} if self.running else self._begin(candidates[:most], grace_since, wait=wait)
        return [_outcome(each, batch.get(each.family.id), wait=wait) for each in candidates]

    @property
    def running(self) -> bool:
        """Tell whether a batch is running."""
        return not all(future.done() for future in self._batch.values())

    def _begin(self, batch: Sequence[Decided], grace_since: float, *, wait: bool) -> dict[UUID, Future[Decided]]:
        budget = threading.Semaphore(self._context.settings.max_stops)
        begun = self._batch = {}
        pool = ThreadPoolExecutor(_WORKERS, "stop")
        try:
            for each in batch:
                begun[each.family.id] = pool.submit(self._process_one, each, grace_since, budget)
        except RuntimeError as error:
            log.error("not all families are probed at this sweep: %s", error)  # noqa: TRY400 - said in full
            pool.shutdown(wait=False, cancel_futures=True)
        pool.shutdown(wait=wait)
        return begun

    def _process_one(self, decided: Decided, grace_since: float, budget: threading.Semaphore) -> Decided:
        context, family = self._context, decided.family
        if context.ended.is_set():
            return decided.outcome("the reaper is ending")
        self._probed_at[family.id] = context.clock.monotonic()
        read = read_family if self._dry_run else read_candidate
        try:
            decided = read(context, family, decided.container_id, grace_since)
            return self._act(decided, budget)
        except (FleetError, StoreError) as error:
            log.warning("%s: not stopped: %s", family.name, error)
            return decided.outcome(str(error))
        except Exception:
            log.exception("%s: not stopped; the other families are probed all the same", family.name)
            return decided.outcome("could not be probed")

    def _act(self, decided: Decided, budget: threading.Semaphore) -> Decided:
        if decided.decision.action is not Action.STOP:
            outcome = decided
        elif self._dry_run:
            outcome = decided.outcome("would stop")
        elif self._context.ended.is_set():
            outcome = decided.outcome("the reaper is ending")
        elif not budget.acquire(blocking=False):
            outcome = decided.outcome("stopped at a later sweep")
        else:
            outcome = stop_family(self._context, decided)
            if outcome.done != Stopped.DONE:
                budget.release()
        if outcome.decision.action is Action.KEEP and not self._dry_run:
            self._record_kept(outcome)
        return outcome

    def _record_kept(self, outcome: Decided) -> None:
        context, reason = self._context, outcome.decision.reason
        context.metrics.skips.labels(reason.code).inc()
        if context.store.row(outcome.family.id).reason != reason.code:
            context.store.update(outcome.family.id, reason=reason.code, text=reason.text)
            context.store.append([outcome.entry(context.clock.now(), "keep")])


def _outcome(decided: Decided, future: "Future[Decided] | None", *, wait: bool) -> Decided:
    if future is None or future.cancelled():
        return decided.outcome("probed at a later sweep")
    return future.result() if wait else decided.outcome("being probed")


def stop_family(context: Context, first: Decided) -> Decided:
    """Stop a family whose first reading decided so, if the second reading still does.

    The outcome holds the second reading, or the first where there was no second. Raises StoreError; the family is not
    stopped then.
    """
    lease = context.store.acquire(first.family.id, "stop", context.settings.stop_grace + _MARGIN_SECONDS)
    if lease is None:
        return first.outcome(Stopped.HELD)
    try:
        return _stop_leased(context, first, lease)
    except GoneError:
        return first.outcome(Stopped.REPLACED)
    except FleetError as error:
        log.warning("%s: the second reading failed: %s", first.family.name, error)
        return first.outcome(Stopped.BUSY)
    finally:
        context.store.release(lease)


def _stop_leased(context: Context, first: Decided, lease: Lease) -> Decided:
    second = second_reading(context, first)
    if second.facts.state != RUNNING:
        return first.outcome(Stopped.REPLACED)
    if second.decision.action is not Action.STOP:
        context.metrics.aborted_stops.labels(second.decision.reason.code).inc()
        context.store.append([second.entry(context.clock.now(), "abort")])
        return second.outcome(Stopped.BUSY)
    if not context.store.renew(lease, context.settings.stop_grace + _MARGIN_SECONDS):
        return first.outcome(Stopped.HELD)
    context.store.append([second.entry(context.clock.now(), "stopping")])
    failure = _stop_container(context, second.container_id)
    if failure:
        _record_failure(context, second, failure)
    else:
        _record_stop(context, second)
    return second.outcome(Stopped.FAILED if failure else Stopped.DONE)


def second_reading(context: Context, first: Decided) -> Decided:
    """Read everything again, the clocks last: after a host slept since the first reading, every family looks idle."""
    second = read_candidate(context, first.family, first.container_id, first.facts.grace_since)
    beat, _ = next_beat(context.store.beat(), context.clock, context.settings.sweep_every)
    return decide_family(
        context, second.family, second.container_id, replace(second.facts, grace_since=beat.grace_since)
    )


def _stop_container(context: Context, container_id: str) -> str | None:
    """Stop a container; return what failed, None if it is down. Raises GoneError."""
    try:
        context.engine.stop(container_id, context.settings.stop_grace)
        state = context.engine.inspect(container_id).state
    except GoneError:
        raise
    except FleetError as error:
        return str(error)
    return "it is still running, or running again" if state == RUNNING else None


def _record_failure(context: Context, decided: Decided, why: str) -> None:
    context.metrics.failed_stops.inc()
    log.error("%s: could not be stopped, which is retried: %s", decided.family.name, why)
    entry = Entry(context.clock.now(), decided.family.id, "stop_failed", "docker", why, decided.container_id)
    try:
        context.store.append([entry])
    except StoreError as error:
        log.warning("%s", error)


def _record_stop(context: Context, decided: Decided) -> None:
    family, reason, activity, now = decided.family, decided.decision.reason, decided.facts.activity, context.clock.now()
    context.metrics.stops.labels(reason.code).inc()
    log.info("%s: stopped: %s", family.name, reason.text)
    # Unless the agent told its next job, the known one is of an earlier sleep: forgotten, it is read from its files.
    outdated = {} if activity and "cron_next" not in activity.unread else {"cron_of": None}
    context.store.update(family.id, state="asleep", state_since=now, reason=reason.code, text=reason.text, **outdated)
    context.store.append([Entry(now, family.id, "stop", reason.code, reason.text, decided.container_id)])
