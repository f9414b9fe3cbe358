"""When sleeping families have their next job, read from their files where no agent was asked just before it stopped."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from fleet import identity
from fleet.host import Seen
from fleet.registry import Family
from fleet.schedule import CronReading
from reaper.context import Context, life, state_of
from reaper.decide import had_its_chance
from reaper.store import Row

log = logging.getLogger("reaper")

_READS = 50


def read_schedules(
    context: Context, families: Mapping[UUID, Family], listed: Mapping[str, Seen], rows: dict[UUID, Row]
) -> None:
    """Read the schedules of sleepers that have no fresh record, and put them into `rows` and the store.

    A record is fresh if it was read from this very container, and the container did not run since: a stop by anybody
    else is seen here as a family that was awake at the last look. Whoever has no turn at this sweep is woken for
    nothing that was known before: of many who were put to sleep at once, their old runs would wake all of them.
    """
    asleep, stale = [], []
    for id_, family in families.items():
        seen = listed.get(identity.container_name(id_))
        row = rows.get(id_, Row())
        if seen is None or life(state_of(seen, context.settings.stack)) != "asleep":
            continue
        asleep.append(id_)
        if row.cron_of != seen.id or row.state != "asleep" or row.cron_unread:
            stale.append((family, seen, row))
    stale.sort(key=lambda entry: _turn(entry[2]))
    waiting = stale[_READS:]
    rows |= {family.id: replace(known, cron_next=None) for family, _, known in waiting}
    context.store.note_all(
        {family.id: {"cron_of": None} for family, seen, known in waiting if known.cron_of == seen.id}
    )
    for family, seen, known in stale[:_READS]:
        reading = context.engine.next_run(seen.id, known.cron_woken)
        next_run = _earliest(reading, known)
        rows[family.id] = replace(known, cron_next=next_run, cron_of=seen.id, cron_unread=reading.unread)
        context.store.note(family.id, cron_next=next_run, cron_of=seen.id, cron_unread=reading.unread)
        if reading.unread and not known.cron_unread:
            log.warning("%s: its schedule cannot be read: %s", family.name, reading.unread)
    context.meters.cron_unread.set(sum(bool(rows[id_].cron_unread) for id_ in asleep))


def _turn(row: Row) -> tuple[bool, float]:
    """Return a key that sorts who is read first: what was readable, and of that whose known run is the earliest."""
    return bool(row.cron_unread), math.inf if row.cron_next is None else row.cron_next


def _earliest(reading: CronReading, known: Row) -> float | None:
    """Return the next run; where not all could be read, also by what was known before, unless it was woken for that."""
    runs = [run for run in (reading.next_run, known.cron_next if reading.unread else None) if run is not None]
    return min((run for run in runs if not had_its_chance(run, known.cron_woken)), default=None)
