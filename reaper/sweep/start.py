"""Starts sleeping families that a device or a job needs; of those with a job, a few per sweep."""

import contextlib
from collections.abc import Iterable, Iterator
from uuid import UUID

from fleet.errors import FleetError
from reaper.context import Context
from reaper.policy.rules import Action
from reaper.store.database import StoreError
from reaper.sweep.backoff import Backoff
from reaper.sweep.probe import Decided
from reaper.wake.runtime import NoBootSlotError
from reaper.wake.waker import Waker

_RETRY_SECONDS, _RETRY_LONGEST = 60.0, 900.0


class Starts:
    """Starts families in the background. After a failure a family is retried at growing intervals."""

    def __init__(self, context: Context, waker: Waker, *, dry_run: bool) -> None:
        """Work on a reaper's parts; with `dry_run` only say which families would be started."""
        self._context = context
        self._waker = waker
        self._dry_run = dry_run
        self._failed = Backoff(_RETRY_SECONDS, _RETRY_LONGEST)
        self._seen_in_time = set[UUID]()

    def select(self, decided: Iterable[Decided]) -> list[Decided]:
        """Return the families to start at this sweep: all with a fresh heartbeat, and some of those with a job.

        Those are up to `max_cron_starts` families whose job is due now, earliest first, and one that is long overdue. A
        family whose job became due while it waited here is not overdue. A clock that was set ahead, or a reaper that
        was away, makes many overdue at once. An agent schedules its next runs only while it runs, so all of them are
        started, but one per sweep.
        """
        settings = self._context.settings
        long_ago = self._context.clock.now() - settings.limits.cron_late
        ready = [each for each in decided if each.decision.action is Action.START and not self._waits(each)]
        with_heartbeat = [each for each in ready if each.decision.reason.code != "cron"]
        with_job = sorted((each for each in ready if each.decision.reason.code == "cron"), key=_due)
        in_time = [each for each in with_job if _due(each) >= long_ago or each.family.id in self._seen_in_time]
        self._seen_in_time = {each.family.id for each in in_time}
        overdue = [each for each in with_job if each.family.id not in self._seen_in_time]
        return [*with_heartbeat, *in_time[: settings.max_cron_starts], *overdue[:1]]

    def _waits(self, decided: Decided) -> bool:
        return self._failed.waits(decided.family.id, self._context.clock.monotonic())

    def process(self, decided: Iterable[Decided], selected: Iterable[Decided]) -> Iterator[Decided]:
        """Start the selected families in the background; yield an outcome for each family that is to be started."""
        starting = {each.family.id for each in selected}
        for each in decided:
            if each.decision.action is not Action.START:
                continue
            if each.family.id not in starting:
                failed = self._waits(each)
                yield each.outcome("its start failed; retried later" if failed else "started at a later sweep")
            elif self._dry_run:
                yield each.outcome("would start")
            else:
                self._start(each)
                yield each.outcome("starting")

    def _start(self, decided: Decided) -> None:
        family, code = decided.family, decided.decision.reason.code
        due = decided.facts.cron_next if code == "cron" else None

        def done(failed: FleetError | None) -> None:
            if failed is None:
                self._failed.went_well(family.id)
                # Not earlier: a reaper that dies while the family waits for a boot slot has not served the job.
                if due is not None:
                    with contextlib.suppress(StoreError):
                        self._context.store.update(family.id, cron_woken=due)
            elif not isinstance(failed, NoBootSlotError):
                self._failed.failed(family.id, self._context.clock.monotonic())

        self._waker.ensure_later(family, signal="woken", reason=code, done=done)


def _due(decided: Decided) -> float:
    return decided.facts.cron_next or 0.0
