"""Probes the families with no known reason to stay awake, and stops the idle ones in two phases.

A decision is made from a reading that is some time old. So a stop takes the family's lease, inspects this container
again, probes its agent again, reads the store again, and only then stops it, by ID. A request or heartbeat is stored
before the lease is looked at: either the second reading sees it, or its sender sees the lease.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TYPE_CHECKING

from fleet.errors import FleetError
from reaper.clock import next_beat
from reaper.context import Context
from reaper.engine import GoneError
from reaper.policy.facts import RUNNING
from reaper.policy.rules import Action
from reaper.store import Entry, Lease
from reaper.store.database import StoreError
from reaper.sweep.probe import Decided, read_candidate, read_family
from reaper.sweep.report import Outcome

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger("reaper")

_WORKERS = 4
# How many families a sweep probes for each stop that it may make; the others are probed at later sweeps.
_PROBES_PER_STOP = 2
# Docker answers a stop once the container is down; this much longer than the grace means that it does not answer.
_MARGIN_SECONDS = 30
_LATER = "probed at a later sweep"


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
        self._running = threading.Lock()

    def process(self, decided: Iterable[Decided], grace_since: float, *, wait: bool) -> list[Outcome]:
        """Probe the candidates among a sweep's families and stop the idle ones; return an outcome for each.

        With `wait=False` that happens in the background, unless an earlier batch is still running: the outcomes then
        say which families are being probed.
        """
        most = self._context.settings.max_stops
        batch, later = self._select(decided, most * _PROBES_PER_STOP)
        outcomes: list[Outcome] = []

        def work() -> None:
            budget = threading.Semaphore(most)
            try:
                with ThreadPoolExecutor(_WORKERS, "stop") as pool:
                    outcomes.extend(pool.map(lambda each: self._process_one(each, grace_since, budget), batch))
            finally:
                self._running.release()

        state = _LATER
        if batch and self._running.acquire(blocking=wait) and (thread := self._begin(work)):
            state = "being probed"
            if wait:
                thread.join()
                state = "could not be probed"
        known = {outcome.family.id: outcome for outcome in list(outcomes)}
        probed = [known.get(each.family.id) or Outcome.of(each, state) for each in batch]
        return [*probed, *(Outcome.of(each, _LATER) for each in later)]

    def _begin(self, work: Callable[[], None]) -> threading.Thread | None:
        thread = threading.Thread(target=work, name="stops", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._running.release()
            log.error("no family is probed at this sweep: %s", error)  # noqa: TRY400 - said in full
            return None
        return thread

    def _select(self, decided: Iterable[Decided], most: int) -> tuple[list[Decided], list[Decided]]:
        """Return the families to probe now and those to probe later. Stops that need no probe come first."""
        candidates = [each for each in decided if each.decision.action in {Action.STOP, Action.PROBE}]
        candidates.sort(
            key=lambda each: (self._probed_at.get(each.family.id, 0.0), each.decision.action is Action.PROBE)
        )
        return candidates[:most], candidates[most:]

    def _process_one(self, candidate: Decided, grace_since: float, budget: threading.Semaphore) -> Outcome:
        context, family = self._context, candidate.family
        if context.ended.is_set():
            return Outcome.of(candidate, "the reaper is ending")
        self._probed_at[family.id] = context.clock.monotonic()
        read = read_family if self._dry_run else read_candidate
        decided = candidate
        try:
            decided = read(context, family, candidate.container_id, grace_since)
            return self._act(decided, budget)
        except FleetError as error:
            log.warning("%s: %s", family.name, error)
            return Outcome.of(decided, str(error))
        except StoreError as error:
            log.error("the store fails, so %s is not stopped: %s", family.name, error)  # noqa: TRY400 - said in full
            return Outcome.of(decided, str(error))
        except Exception:
            log.exception("%s: not stopped; the other families are probed all the same", family.name)
            return Outcome.of(decided, "could not be probed")

    def _act(self, decided: Decided, budget: threading.Semaphore) -> Outcome:
        if decided.decision.action is not Action.STOP:
            outcome = Outcome.of(decided)
        elif self._dry_run:
            outcome = Outcome.of(decided, "would stop")
        elif self._context.ended.is_set():
            outcome = Outcome.of(decided, "the reaper is ending")
        elif not budget.acquire(blocking=False):
            outcome = Outcome.of(decided, "stopped at a later sweep")
        else:
            outcome = stop_family(self._context, decided)
            if outcome.done != Stopped.DONE:
                budget.release()
        if outcome.decision.action is Action.KEEP and not self._dry_run:
            self._record_kept(outcome)
        return outcome

    def _record_kept(self, outcome: Outcome) -> None:
        context, reason = self._context, outcome.decision.reason
        context.metrics.skips.labels(reason.code).inc()
        if context.store.row(outcome.family.id).reason != reason.code:
            context.store.update(outcome.family.id, reason=reason.code, text=reason.text)
            context.store.append([outcome.entry(context.clock.now(), "keep")])


def stop_family(context: Context, first: Decided) -> Outcome:
    """Stop a family whose first reading decided so, if the second reading still does.

    The outcome holds the second reading, or the first where there was no second. Raises StoreError; the family is not
    stopped then.
    """
    lease = context.store.acquire(first.family.id, "stop", context.settings.stop_grace + _MARGIN_SECONDS)
    if lease is None:
        return Outcome.of(first, Stopped.HELD)
    try:
        return _stop_leased(context, first, lease)
    except GoneError:
        return Outcome.of(first, Stopped.REPLACED)
    finally:
        context.store.release(lease)


def _stop_leased(context: Context, first: Decided, lease: Lease) -> Outcome:
    try:
        second = second_reading(context, first)
    except GoneError:
        raise
    except FleetError as error:
        log.warning("%s: the second reading failed: %s", first.family.name, error)
        return Outcome.of(first, Stopped.BUSY)
    if second.facts.state != RUNNING:
        return Outcome.of(first, Stopped.REPLACED)
    if second.decision.action is not Action.STOP:
        context.metrics.aborted_stops.labels(second.decision.reason.code).inc()
        context.store.append([second.entry(context.clock.now(), "abort")])
        return Outcome.of(second, Stopped.BUSY)
    if not context.store.renew(lease, context.settings.stop_grace + _MARGIN_SECONDS):
        return Outcome.of(first, Stopped.HELD)
    return Outcome.of(second, _stop_container(context, second))


def second_reading(context: Context, first: Decided) -> Decided:
    """Read everything again, the clocks too: after a host slept since the first reading, every family looks idle."""
    beat, _ = next_beat(context.store.beat(), context.clock, context.settings.sweep_every)
    second = read_candidate(context, first.family, first.container_id, beat.grace_since)
    beat, _ = next_beat(context.store.beat(), context.clock, context.settings.sweep_every)
    if beat.grace_since > second.facts.grace_since:
        return read_candidate(context, first.family, first.container_id, beat.grace_since)
    return second


def _stop_container(context: Context, decided: Decided) -> Stopped:
    family, container_id, reason = decided.family, decided.container_id, decided.decision.reason
    context.store.append([decided.entry(context.clock.now(), "stopping")])
    try:
        context.engine.stop(container_id, context.settings.stop_grace)
        if context.engine.inspect(container_id).state == RUNNING:
            return _record_failure(context, decided, "it is still running, or running again")
    except GoneError:
        raise
    except FleetError as error:
        return _record_failure(context, decided, str(error))
    now = context.clock.now()
    context.metrics.stops.labels(reason.code).inc()
    log.info("%s: stopped: %s", family.name, reason.text)
    activity = decided.facts.activity
    # Unless the agent told its next job, the known one is of an earlier sleep: forgotten, it is read from its files.
    outdated = {} if activity and "cron_next" not in activity.unread else {"cron_of": None}
    context.store.update(family.id, state="asleep", state_since=now, reason=reason.code, text=reason.text, **outdated)
    context.store.append([Entry(now, family.id, "stop", reason.code, reason.text, container_id)])
    return Stopped.DONE


def _record_failure(context: Context, decided: Decided, why: str) -> Stopped:
    context.metrics.failed_stops.inc()
    log.error("%s: could not be stopped, which is retried: %s", decided.family.name, why)
    entry = Entry(context.clock.now(), decided.family.id, "stop_failed", "docker", why, decided.container_id)
    try:
        context.store.append([entry])
    except StoreError as error:
        log.warning("%s", error)
    return Stopped.FAILED
