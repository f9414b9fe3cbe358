"""Stops one family in two phases, so that nobody who came in the meantime loses their agent.

The decision was made from a reading that is some time old. So: take the family's lease, look at this very container
again, ask its agent again, read the signs of life again, and only then stop it, by ID. Whoever asks for the family
writes a sign of life down before looking for a lease: the second reading sees it, or they see the lease.
"""

import logging
from dataclasses import asdict
from enum import StrEnum

from fleet.errors import FleetError
from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper.clock import longest_gap, next_beat
from reaper.context import Context
from reaper.engine import GoneError
from reaper.policy.facts import RUNNING
from reaper.policy.rules import Action
from reaper.store import Entry, Lease
from reaper.store.database import StoreError
from reaper.sweep.probe import Reading, read_candidate

log = logging.getLogger("reaper")

# Docker answers a stop once the container is down; this much longer than the grace means that it does not answer.
_PATIENCE = 30


class Stopped(StrEnum):
    """How a stop ended."""

    DONE = "stopped"
    BUSY = "busy after all"
    HELD = "held by somebody else"
    REPLACED = "replaced meanwhile"
    FAILED = "failed"


def stop_family(context: Context, family: Family, seen: ContainerSummary) -> tuple[Stopped, Reading | None]:
    """Stop a family whose first reading said so, if the second one, which is returned, still does.

    Raises StoreError, stopping nobody.
    """
    lease = context.store.acquire(family.id, "stop", context.settings.stop_grace + _PATIENCE)
    if lease is None:
        return Stopped.HELD, None
    try:
        return _stop(context, family, seen, lease)
    except GoneError:
        return Stopped.REPLACED, None
    finally:
        context.store.release(lease)


def _stop(context: Context, family: Family, seen: ContainerSummary, lease: Lease) -> tuple[Stopped, Reading | None]:
    try:
        reading = second_reading(context, family, seen)
    except GoneError:
        raise
    except FleetError as error:
        log.warning("%s: the second reading failed: %s", family.name, error)
        return Stopped.BUSY, None
    if reading.info.state != RUNNING:
        return Stopped.REPLACED, None
    if reading.decision.action is not Action.STOP:
        context.metrics.aborted_stops.labels(reading.decision.reason.code).inc()
        context.store.append([_entry(context, family, "abort", reading)])
        return Stopped.BUSY, reading
    if not context.store.renew(lease, context.settings.stop_grace + _PATIENCE):
        return Stopped.HELD, None
    return _act(context, family, reading), reading


def second_reading(context: Context, family: Family, seen: ContainerSummary) -> Reading:
    """Read everything again, the clocks too: a host that slept since the first reading makes everybody look idle."""
    gap = longest_gap(context.settings.sweep_every)
    reading = read_candidate(context, family, seen, next_beat(context.store.beat(), context.clock, gap)[0].grace_since)
    beat, _ = next_beat(context.store.beat(), context.clock, gap)
    if beat.grace_since > reading.facts.grace_since:
        return read_candidate(context, family, seen, beat.grace_since)
    return reading


def _act(context: Context, family: Family, reading: Reading) -> Stopped:
    reason = reading.decision.reason
    context.store.append([_entry(context, family, "stopping", reading)])
    try:
        context.engine.stop(reading.info.id, context.settings.stop_grace)
        if context.engine.inspect(reading.info.id).state == RUNNING:
            return _failed(context, family, reading, "it runs still, or again")
    except GoneError:
        raise
    except FleetError as error:
        return _failed(context, family, reading, str(error))
    now = context.clock.now()
    context.metrics.stops.labels(reason.code).inc()
    log.info("%s: stopped: %s", family.name, reason.text)
    asked = reading.facts.activity
    # If the agent did not say when its next job is due, what is known is of an earlier sleep: the files are read anew.
    forgotten = {} if asked and "cron_next" not in asked.unread else {"cron_of": None}
    context.store.update(family.id, state="asleep", state_since=now, reason=reason.code, text=reason.text, **forgotten)
    context.store.append([Entry(now, family.id, "stop", reason.code, reason.text, reading.info.id)])
    return Stopped.DONE


def _failed(context: Context, family: Family, reading: Reading, why: str) -> Stopped:
    context.metrics.failed_stops.inc()
    log.error("%s: could not be stopped, which is tried again: %s", family.name, why)
    entry = Entry(context.clock.now(), family.id, "stop_failed", "docker", why, reading.info.id)
    try:
        context.store.append([entry])
    except StoreError as error:
        log.warning("%s", error)
    return Stopped.FAILED


def _entry(context: Context, family: Family, action: str, reading: Reading) -> Entry:
    reason = reading.decision.reason
    inputs = asdict(reading.facts)
    return Entry(context.clock.now(), family.id, action, reason.code, reason.text, reading.info.id, inputs)
