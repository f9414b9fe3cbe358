"""Asks the agents of a sweep's candidates what they do, and stops those that may be stopped."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

from fleet.errors import FleetError
from reaper.context import Context
from reaper.policy.facts import RUNNING
from reaper.policy.rules import Action
from reaper.store import Entry
from reaper.store.database import StoreError
from reaper.sweep.probe import read_candidate, read_facts
from reaper.sweep.report import Outcome, Report
from reaper.sweep.stop import Stopped, stop_family

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger("reaper")

_WORKERS = 4
# How many candidates a sweep asks for each stop that it may make; the rest are asked at later sweeps.
_PROBES_PER_STOP = 2


class Candidates:
    """Whoever nothing known keeps awake. One batch at a time, whoever was not asked for longest first."""

    def __init__(self, context: Context, *, dry_run: bool) -> None:
        """Work on a reaper's parts; with `dry_run` nobody is stopped and nothing is written."""
        self._context = context
        self._dry_run = dry_run
        self._asked: dict[UUID, float] = {}
        self._at_work = threading.Lock()

    def process(self, report: Report, grace_since: float, *, wait: bool) -> None:
        """Ask and stop a sweep's candidates; with `wait=False` in the background, unless that is under way."""
        for outcome in report.of(Action.KEEP):
            if outcome.seen and outcome.seen.state == RUNNING:
                self._context.metrics.skips.labels(outcome.decision.reason.code).inc()
        most = self._context.settings.max_stops
        chosen = self._choose(report, most * _PROBES_PER_STOP)
        if not chosen or not self._at_work.acquire(blocking=wait):
            return
        budget = _Budget(most)

        def work() -> None:
            try:
                with ThreadPoolExecutor(_WORKERS, "stop") as pool:
                    list(pool.map(lambda outcome: self._one(outcome, grace_since, budget), chosen))
            finally:
                self._at_work.release()

        thread = threading.Thread(target=work, name="stops", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._at_work.release()
            log.error("nobody is asked at this sweep: %s", error)  # noqa: TRY400 - said in full
            return
        if wait:
            thread.join()

    def _choose(self, report: Report, most: int) -> list[Outcome]:
        asked = [*report.of(Action.STOP), *report.of(Action.PROBE)]
        asked.sort(key=lambda outcome: self._asked.get(outcome.family.id, 0.0))
        for outcome in asked[most:]:
            outcome.done = "asked at a later sweep"
        return asked[:most]

    def _one(self, outcome: Outcome, grace_since: float, budget: "_Budget") -> None:
        if self._context.ended.is_set():
            outcome.done = "the reaper is ending"
            return
        self._asked[outcome.family.id] = self._context.clock.monotonic()
        try:
            if self._dry_run:
                self._rehearse(outcome, grace_since)
            else:
                self._ask(outcome, grace_since, budget)
        except FleetError as error:
            outcome.done = str(error)
            log.warning("%s: %s", outcome.family.name, error)
        except StoreError as error:
            outcome.done = str(error)
            log.error("the store fails, so %s is not stopped: %s", outcome.family.name, error)  # noqa: TRY400 - in full
        except Exception:
            outcome.done = "could not be asked"
            log.exception("%s: not stopped; the others are asked all the same", outcome.family.name)

    def _rehearse(self, outcome: Outcome, grace_since: float) -> None:
        if outcome.seen:
            outcome.facts, outcome.decision = read_facts(self._context, outcome.family, outcome.seen, grace_since)
            outcome.done = "would stop" if outcome.decision.action is Action.STOP else ""

    def _ask(self, outcome: Outcome, grace_since: float, budget: "_Budget") -> None:
        """Ask one family's agent, and stop it if that is the decision, twice."""
        context, family, seen = self._context, outcome.family, outcome.seen
        if seen is None:
            return
        reading = read_candidate(context, family, seen, grace_since)
        outcome.facts, outcome.decision = reading.facts, reading.decision
        if context.ended.is_set():
            outcome.done = "the reaper is ending"
        elif outcome.decision.action is Action.STOP and budget.take():
            ended, second = stop_family(context, family, seen)
            if second:
                outcome.facts, outcome.decision = second.facts, second.decision
            outcome.done = str(ended)
            if ended is not Stopped.DONE:
                budget.give_back()
        elif outcome.decision.action is Action.STOP:
            outcome.done = "stopped at a later sweep"
        if outcome.decision.action is Action.KEEP:
            self._kept(outcome)

    def _kept(self, outcome: Outcome) -> None:
        context, reason = self._context, outcome.decision.reason
        context.metrics.skips.labels(reason.code).inc()
        if context.store.row(outcome.family.id).reason != reason.code and outcome.seen:
            context.store.update(outcome.family.id, reason=reason.code, text=reason.text)
            now = context.clock.now()
            inputs = asdict(outcome.facts)
            entry = Entry(now, outcome.family.id, "keep", reason.code, reason.text, outcome.seen.id, inputs)
            context.store.append([entry])


class _Budget:
    """How many families a sweep may still stop."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            free = self._left > 0
            self._left -= free
            return free

    def give_back(self) -> None:
        with self._lock:
            self._left += 1
