"""When sleeping families have their next job, read from their files where no agent was asked just before it stopped."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from fleet import naming
from fleet.host import ContainerSummary
from fleet.host.cron import CronReading
from fleet.registry import Family
from reaper.context import Context, life, state_of, was_healthy
from reaper.policy.rules import had_its_chance_until
from reaper.store import Row
from reaper.sweep.backoff import Backoff

log = logging.getLogger("reaper")

# Of one sweep, which is to look after everybody else as well.
_READS, _SECONDS = 50, 10.0
# The files of a container that does not run are hardly any different a minute later.
_RETRY_SECONDS, _RETRY_LONGEST = 3600.0, 86400.0


class Schedules:
    """Reads the schedules of sleepers that have no fresh record, some at each sweep.

    A record is fresh if it was read from this very container and the container did not run since: a stop by anybody
    else is seen here as a family that was awake at the last look.
    """

    def __init__(self, context: Context) -> None:
        """Work on a reaper's parts."""
        self._context = context
        self._unreadable = Backoff(_RETRY_SECONDS, _RETRY_LONGEST)

    def read(
        self, families: Mapping[UUID, Family], listed: Mapping[str, ContainerSummary], rows: dict[UUID, Row]
    ) -> None:
        """Put what is read into `rows` and the store.

        A family whose turn comes at a later sweep is not woken for a run that was known before: it may have had that
        run, and of many that were stopped at once all would wake.
        """
        context = self._context
        now, ends = context.clock.monotonic(), context.clock.monotonic() + _SECONDS
        asleep, stale = [], []
        for id_, family in families.items():
            seen = listed.get(naming.container_name(id_))
            row = rows.get(id_, Row())
            if seen is None or life(state_of(seen, context.settings.stack)) != "asleep":
                continue
            asleep.append(id_)
            if not _fresh(seen, row) or (row.cron_unread and not self._unreadable.waits(seen.id, now)):
                stale.append((family, seen, row))
        stale.sort(key=lambda entry: _turn(entry[2]))
        read = 0
        while read < min(_READS, len(stale)) and context.clock.monotonic() < ends:
            family, seen, known = stale[read]
            rows[family.id] = self._read(family, seen, known)
            read += 1
        self._postpone(stale[read:], rows)
        context.metrics.cron_unread.set(sum(bool(rows[id_].cron_unread) for id_ in asleep))

    def _read(self, family: Family, seen: ContainerSummary, known: Row) -> Row:
        context = self._context
        until = had_its_chance_until(
            context.clock.now(), known.cron_woken, context.settings.limits, was_healthy=was_healthy(seen, known)
        )
        reading = context.engine.next_run(seen.id, until)
        if reading.unread:
            self._unreadable.failed(seen.id, context.clock.monotonic())
            if not known.cron_unread:
                log.warning("%s: its schedule cannot be read: %s", family.name, reading.unread)
        else:
            self._unreadable.went_well(seen.id)
        next_run = _earliest(reading, known, until)
        context.store.update(family.id, cron_next=next_run, cron_of=seen.id, cron_unread=reading.unread)
        return replace(known, cron_next=next_run, cron_of=seen.id, cron_unread=reading.unread)

    def _postpone(self, waiting: list[tuple[Family, ContainerSummary, Row]], rows: dict[UUID, Row]) -> None:
        outdated = {family.id: known for family, seen, known in waiting if not _fresh(seen, known)}
        rows |= {id_: replace(known, cron_next=None) for id_, known in outdated.items()}
        self._context.store.update_all({id_: {"cron_of": None} for id_, known in outdated.items() if known.cron_of})


def _fresh(seen: ContainerSummary, row: Row) -> bool:
    return row.cron_of == seen.id and row.state == "asleep"


def _turn(row: Row) -> tuple[bool, float]:
    """Return a key that sorts who is read first: what was readable, and of that whose known run is the earliest."""
    return bool(row.cron_unread), math.inf if row.cron_next is None else row.cron_next


def _earliest(reading: CronReading, known: Row, until: float | None) -> float | None:
    """Return the next run; where not all could be read, the run known before counts too, unless the family had it."""
    runs = [run for run in (reading.next_run, known.cron_next if reading.unread else None) if run is not None]
    return min((run for run in runs if until is None or run > until), default=None)
