"""Reads when sleeping families have their next job, from their files: their agents were not asked when they stopped."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from fleet.host import ContainerSummary
from fleet.host.cron import CronReading
from fleet.registry import Family
from reaper.context import Context
from reaper.policy.facts import was_healthy
from reaper.policy.rules import served_until
from reaper.store import Row
from reaper.sweep.backoff import Backoff

log = logging.getLogger("reaper")

# Per sweep, so that reading never holds it up.
_READS, _SECONDS = 50, 10.0
# The files of a stopped container hardly change.
_RETRY_SECONDS, _RETRY_LONGEST = 3600.0, 86400.0

Sleeper = tuple[Family, ContainerSummary]


class Schedules:
    """Reads the schedules of sleeping families without a fresh record, some of them at each sweep.

    A record is fresh if it was read from this container and the container has not run since. A stop that the reaper
    did not make shows as a family that was awake at the last sweep.
    """

    def __init__(self, context: Context) -> None:
        """Work on a reaper's parts."""
        self._context = context
        self._unreadable = Backoff(_RETRY_SECONDS, _RETRY_LONGEST)

    def read(self, asleep: Sequence[Sleeper], rows: Mapping[UUID, Row]) -> dict[UUID, Row]:
        """Return `rows` with the schedules that were read, and store them.

        A family that is left for a later sweep loses the run that was known before: it may have had it already, and
        many families that were stopped together would all wake for theirs.
        """
        clock = self._context.clock
        began = clock.monotonic()
        known = {family.id: rows.get(family.id, Row()) for family, _ in asleep}
        stale = [sleeper for sleeper in asleep if self._is_due(sleeper[1], known[sleeper[0].id], began)]
        stale.sort(key=lambda sleeper: _rank(known[sleeper[0].id]))
        columns: dict[UUID, dict[str, Any]] = {}
        for number, (family, container) in enumerate(stale):
            if number < _READS and clock.monotonic() < began + _SECONDS:
                columns[family.id] = self._read(family, container, known[family.id])
            elif not _is_fresh(container, known[family.id]):
                columns[family.id] = {"cron_of": None}
        self._context.store.update_all(columns)
        return {**rows, **known, **{id_: replace(known[id_], **values) for id_, values in columns.items()}}

    def _is_due(self, container: ContainerSummary, row: Row, now: float) -> bool:
        retried = bool(row.cron_unread) and not self._unreadable.waits(container.id, now)
        return retried or not _is_fresh(container, row)

    def _read(self, family: Family, container: ContainerSummary, row: Row) -> dict[str, Any]:
        """Read one schedule; return the columns to store."""
        context = self._context
        healthy = was_healthy(container, row)
        served = served_until(context.clock.now(), row.cron_woken, context.settings.limits, was_healthy=healthy)
        reading = context.engine.next_run(container.id, served)
        if reading.unread:
            self._unreadable.failed(container.id, context.clock.monotonic())
            if not row.cron_unread:
                log.warning("%s: its schedule cannot be read: %s", family.name, reading.unread)
        else:
            self._unreadable.went_well(container.id)
        next_run = _earliest(reading, row, served)
        return {"cron_next": next_run, "cron_of": container.id, "cron_unread": reading.unread}


def _is_fresh(container: ContainerSummary, row: Row) -> bool:
    return row.cron_of == container.id and row.state == "asleep"


def _rank(row: Row) -> tuple[bool, float]:
    """Return a sort key: readable schedules first, and of those the earliest known run."""
    return bool(row.cron_unread), math.inf if row.cron_next is None else row.cron_next


def _earliest(reading: CronReading, row: Row, served: float | None) -> float | None:
    """Return the next run that was not served (epoch seconds); the known run counts if not all could be read."""
    runs = [run for run in (reading.next_run, row.cron_next if reading.unread else None) if run is not None]
    return min((run for run in runs if served is None or run > served), default=None)
