"""Starts the sleepers that a sweep found asked for, and those with a job a few at a time."""

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from fleet.errors import FleetError
from reaper.context import Context
from reaper.policy.rules import Action
from reaper.store.database import StoreError
from reaper.sweep.backoff import Backoff
from reaper.sweep.report import Outcome, Report
from reaper.wake.runtime import NoBootSlotError
from reaper.wake.waker import Waker

if TYPE_CHECKING:
    from uuid import UUID

_RETRY_SECONDS, _RETRY_LONGEST = 60.0, 900.0


class Starts:
    """Whoever is to be started, in the background. One whose start failed is tried again later and later."""

    def __init__(self, context: Context, waker: Waker, *, dry_run: bool) -> None:
        """Work on a reaper's parts; with `dry_run` only say who would be started."""
        self._context = context
        self._waker = waker
        self._dry_run = dry_run
        self._failed = Backoff(_RETRY_SECONDS, _RETRY_LONGEST)
        self._seen_in_time: set[UUID] = set()

    def choose(self, report: Report) -> list[Outcome]:
        """Return whom to start at this sweep: all who are asked for, and those with a job as many as one sweep may."""
        now = self._context.clock.monotonic()
        ready = []
        for outcome in report.of(Action.START):
            if self._failed.waits(outcome.family.id, now):
                outcome.done = "its start failed; tried again later"
            else:
                ready.append(outcome)
                outcome.done = "started at a later sweep"
        chosen = [*_asked_for(ready), *self._with_a_job(ready)]
        for outcome in chosen:
            outcome.done = "would start" if self._dry_run else "starting"
        return chosen

    def _with_a_job(self, ready: list[Outcome]) -> Iterator[Outcome]:
        """Yield `max_cron_starts` of those whose job is due now, the earliest first, and one whose job is long overdue.

        Whoever only waited here since their job was due is not overdue. A clock that was set ahead, or a reaper that
        was away, makes many overdue at once. They are woken all the same, as an agent schedules its next runs only
        while it runs, but by and by.
        """
        settings = self._context.settings
        long_ago = self._context.clock.now() - settings.limits.cron_late
        due = [(outcome.facts.cron_next or 0.0, outcome) for outcome in ready if outcome.decision.reason.code == "cron"]
        due.sort(key=lambda entry: entry[0])
        ids = {outcome.family.id for run, outcome in due if run >= long_ago or outcome.family.id in self._seen_in_time}
        self._seen_in_time = ids
        yield from islice((outcome for _, outcome in due if outcome.family.id in ids), settings.max_cron_starts)
        yield from islice((outcome for _, outcome in due if outcome.family.id not in ids), 1)

    def start(self, outcome: Outcome) -> None:
        """Start one of those chosen."""
        family, code = outcome.family, outcome.decision.reason.code
        due = outcome.facts.cron_next if code == "cron" else None

        def done(failed: FleetError | None) -> None:
            if failed is None:
                self._failed.went_well(family.id)
                # Not before: a reaper that dies while the family waits its turn must not pass for one that woke it.
                if due is not None:
                    with contextlib.suppress(StoreError):
                        self._context.store.update(family.id, cron_woken=due)
            elif not isinstance(failed, NoBootSlotError):
                self._failed.failed(family.id, self._context.clock.monotonic())

        self._waker.ensure_later(family, signal="woken", reason=code, done=done)


def _asked_for(ready: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in ready if outcome.decision.reason.code != "cron"]
