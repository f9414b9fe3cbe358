"""Restarts every awake family in waves, each after the one before is healthy.

A restart keeps the container with the credentials it was created with. New credentials need `pulumi up`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from fleet import naming
from fleet.errors import FleetError
from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper.context import Context
from reaper.engine import GoneError, healthy
from reaper.policy.facts import RUNNING, state_of
from reaper.store import Entry
from reaper.store.database import StoreError

NEW_CREDENTIALS = "a restart keeps the credentials of the containers; new credentials need: pulumi up"

# Docker answers a stop after the grace; a call takes no longer than this beyond it.
_CALL_SECONDS = 30
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Restarted:
    """One family's restart. `problem` says why it failed, `skipped` why it was no longer needed."""

    name: str
    wave: int
    ms: int = 0
    problem: str | None = None
    skipped: str | None = None


def plan_waves(context: Context) -> list[list[tuple[Family, ContainerSummary]]]:
    """Return the awake families by wave, canaries first. Raises FleetError if the daemon does not answer."""
    listed = context.engine.list()
    awake = []
    for family in context.families.current().families:
        seen = listed.get(naming.container_name(family.id))
        if seen and family.state != "suspended" and state_of(seen, context.settings.stack) == RUNNING:
            awake.append((family, seen))
    canaries = [entry for entry in awake if entry[0].canary]
    rest = [entry for entry in awake if not entry[0].canary]
    size = context.settings.wave_size
    return [wave for wave in (canaries, *(rest[at : at + size] for at in range(0, len(rest), size))) if wave]


def restart_waves(context: Context, log: Callable[[Restarted], None] = lambda _: None) -> list[Restarted]:
    """Restart all awake families and return the results; stop after a wave in which one failed.

    `log` gets each result at once. Raises FleetError if the daemon does not answer the listing.
    """
    results: list[Restarted] = []
    for number, wave in enumerate(plan_waves(context)):
        with ThreadPoolExecutor(len(wave), "restart") as pool:
            for result in pool.map(partial(_restart, context, number), wave):
                results.append(result)
                log(result)
        if any(result.problem for result in results):
            break
    return results


def _restart(context: Context, wave: int, entry: tuple[Family, ContainerSummary]) -> Restarted:
    family, seen = entry
    settings, clock = context.settings, context.clock
    began = clock.monotonic()
    held = settings.stop_grace + _CALL_SECONDS + settings.health_timeout
    try:
        lease = context.store.acquire(family.id, "restart", held)
        if lease is None:
            return Restarted(family.name, wave, problem="it is being started or stopped; fix: run this again")
        try:
            skipped = _no_longer_awake(context, family, seen)
            if skipped:
                return Restarted(family.name, wave, skipped=skipped)
            context.engine.stop(seen.id, settings.stop_grace)
            context.engine.start(seen.id)
            _wait_healthy(context, family, seen.id)
        finally:
            context.store.release(lease)
        ms = round((clock.monotonic() - began) * 1000)
        text = f"restarted by hand, healthy after {ms} ms"
        context.store.record_activity(family.id, "woken", clock.now())
        context.store.append([Entry(clock.now(), family.id, "restart", "restart", text, seen.id)])
    except GoneError:
        return Restarted(family.name, wave, skipped="its container was replaced meanwhile")
    except (FleetError, StoreError) as error:
        return Restarted(family.name, wave, problem=context.redact(str(error)))
    return Restarted(family.name, wave, ms)


def _no_longer_awake(context: Context, family: Family, seen: ContainerSummary) -> str | None:
    """Return why a family of the plan no longer needs a restart, or None. Raises GoneError."""
    current = context.families.find(str(family.id))
    if current is None or current.state == "suspended":
        return "it was suspended or removed meanwhile"
    if context.engine.inspect(seen.id).state != RUNNING:
        return "it fell asleep meanwhile"
    return None


def _wait_healthy(context: Context, family: Family, container_id: str) -> None:
    deadline = context.clock.monotonic() + context.settings.health_timeout
    while True:
        # The published port changes with every start.
        port = context.engine.inspect(container_id).port
        if port and healthy(context.settings.url_host, port):
            return
        if context.clock.monotonic() > deadline:
            seconds = context.settings.health_timeout
            raise FleetError(f"{family.name} did not answer /health within {seconds} s after its restart")
        context.clock.sleep(_POLL_SECONDS)
