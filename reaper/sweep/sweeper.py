"""Observes the whole fleet, decides for every family, and has the decisions carried out."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from fleet import naming
from fleet.errors import FleetError
from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper.clock import next_beat
from reaper.context import Context
from reaper.policy.facts import MISSING, RUNNING, UNMANAGED, family_state, known_facts, state_of
from reaper.policy.rules import Action, Reason
from reaper.store import Entry, Row
from reaper.store.database import StoreError
from reaper.sweep.cron import Schedules
from reaper.sweep.probe import Decided, decide_family
from reaper.sweep.report import Report
from reaper.sweep.start import Starts
from reaper.sweep.stop import Stops
from reaper.wake.waker import Waker

log = logging.getLogger("reaper")

# Reasons to keep a family running that do not mean that it is in use.
_NOT_IN_USE = frozenset({"leased", "grace"})
# Decisions that the sweep itself writes to the ledger; a stop writes its own lines.
_RECORDED = {Action.KEEP: "keep", Action.START: "starting"}


@dataclass(frozen=True)
class Observation:
    """What a sweep observed. `rows` include the schedules just read, `leased` are the UUIDs of leased families.

    `grace_since` is the start of the current run of uninterrupted sweeps (epoch seconds), `grace` why it began now.
    """

    families: Mapping[UUID, Family]
    containers: Mapping[UUID, ContainerSummary]
    rows: Mapping[UUID, Row]
    leased: frozenset[str]
    grace_since: float
    grace: str | None


class Sweeper:
    """Sweeps again and again. Between sweeps it remembers only what may be lost by a restart."""

    def __init__(self, context: Context, waker: Waker, *, dry_run: bool = False) -> None:
        """Work on a reaper's parts; with `dry_run` nothing is written, started or stopped."""
        self.context = context
        self.waker = waker
        self.last = Report()
        self._dry_run = dry_run
        self._schedules = Schedules(context)
        self._starts = Starts(context, waker, dry_run=dry_run)
        self._stops = Stops(context, dry_run=dry_run)

    def sweep(self, *, resumed: bool = True, wait: bool = True) -> Report:
        """Observe and act once. `resumed=False`: this process has not swept before, so every family gets a full grace.

        With `wait=False` families are probed and stopped in the background, one batch at a time, so that they never
        delay starts. A failing Docker daemon or store is the report's `problem`, never an exception.
        """
        metrics, clock = self.context.metrics, self.context.clock
        began = clock.monotonic()
        try:
            self.last = self._sweep(resumed=resumed, wait=wait)
            metrics.last_sweep.set(clock.now())
        except StoreError as error:
            metrics.store_ok.set(0)
            self.last = Report(
                problem=f"the store fails, so no family is stopped: {error}{self._count_without_store()}"
            )
        except FleetError as error:
            metrics.daemon_ok.set(0)
            self.last = Report(problem=str(error))
        if self.last.problem:
            log.error("%s", self.last.problem)
        metrics.sweep_seconds.set(clock.monotonic() - began)
        return self.last

    def _sweep(self, *, resumed: bool, wait: bool) -> Report:
        observed = self._observe(resumed=resumed)
        decided = self._decide(observed)
        starting = self._starts.select(decided)
        if not self._dry_run:
            self._record(observed, decided, starting)
        self.context.metrics.store_ok.set(1)
        self._count_kept(observed, decided)
        outcomes = [
            *decided,
            *self._starts.process(decided, starting),
            *self._stops.process(decided, observed.grace_since, wait=wait),
        ]
        return Report({each.family.id: each for each in outcomes}, grace=observed.grace)

    # -- observe

    def _observe(self, *, resumed: bool) -> Observation:
        context, store = self.context, self.context.store
        families = context.families.by_id()
        context.metrics.registry_ok.set(0 if context.families.problem else 1)
        beat, grace = next_beat(store.beat() if resumed else None, context.clock, context.settings.sweep_every)
        if grace and not self._dry_run:
            store.clamp(beat.wall)  # the clock may have been ahead
        rows, leased = store.rows(), store.holders()
        containers = self._list(families)
        context.metrics.daemon_ok.set(1)
        # Only now: without a listing it is not a sweep.
        error = store.pop_error()
        if error and not grace:
            # Heartbeats may have been lost.
            beat, grace = replace(beat, grace_since=beat.wall), f"the store failed ({error})"
        if grace and not self._dry_run:
            log.warning("%s: every family gets a full grace", grace)
        if not self._dry_run:
            store.set_beat(beat)
            rows = self._read_schedules(families, containers, rows)
        return Observation(families, containers, rows, frozenset(leased), beat.grace_since, grace)

    def _list(self, families: Mapping[UUID, Family]) -> dict[UUID, ContainerSummary]:
        """List all containers, set the gauges, and return the families' containers."""
        metrics, listed = self.context.metrics, self.context.engine.list()
        names = {id_: naming.container_name(id_) for id_ in families}
        states = Counter(self._state(listed.get(name)) for name in names.values())
        metrics.awake.set(states["awake"])
        metrics.asleep.set(states["asleep"])
        metrics.missing.set(states[MISSING] + states[UNMANAGED])
        metrics.orphans.set(sum(naming.is_orphan(name) for name in listed))
        return {id_: listed[name] for id_, name in names.items() if name in listed}

    def _state(self, container: ContainerSummary | None) -> str:
        return family_state(state_of(container, self.context.settings.stack))

    def _read_schedules(
        self, families: Mapping[UUID, Family], containers: Mapping[UUID, ContainerSummary], rows: dict[UUID, Row]
    ) -> dict[UUID, Row]:
        asleep = [(families[id_], each) for id_, each in containers.items() if self._state(each) == "asleep"]
        rows = self._schedules.read(asleep, rows) if asleep else rows
        self.context.metrics.cron_unread.set(sum(bool(rows[family.id].cron_unread) for family, _ in asleep))
        return rows

    def _count_without_store(self) -> str:
        """Set the gauges of a listing; return what is wrong with Docker too. Requests and heartbeats still wake."""
        try:
            self._list(self.context.families.by_id())
        except FleetError as error:
            return f"; {error}"
        return ""

    # -- decide

    def _decide(self, observed: Observation) -> list[Decided]:
        decided = []
        for id_, family in observed.families.items():
            container, row = observed.containers.get(id_), observed.rows.get(id_, Row())
            leased = str(id_) in observed.leased
            facts = known_facts(container, row, self.context.settings.stack, observed.grace_since, leased=leased)
            decided.append(decide_family(self.context, family, container.id if container else "", facts))
        return decided

    def _record(self, observed: Observation, decided: Sequence[Decided], starting: Sequence[Decided]) -> None:
        """Store what changed since the last sweep: who is awake, who was healthy, and why. Delete the oldest lines."""
        now = self.context.clock.now()
        starts = {each.family.id for each in starting}
        values: dict[UUID, dict[str, float | str | None]] = defaultdict(dict)
        entries = []
        for each in decided:
            id_, reason, action = each.family.id, each.decision.reason, each.decision.action
            row, state = observed.rows.get(id_, Row()), family_state(each.facts.state)
            changed = values[id_]
            if row.state != state:
                changed |= {"state": state, "state_since": now}
                entries.append(Entry(now, id_, "seen", state, f"found {state}", each.container_id))
            if row.unread_since is not None and state == "awake" and _is_in_use(each):
                changed["unread_since"] = None  # its agent is not probed now: the time limit starts again
            if each.facts.was_healthy and row.healthy_id != each.container_id:
                changed["healthy_id"] = each.container_id
            if (action is Action.KEEP or id_ in starts) and _is_news(row, state, reason):
                changed |= {"reason": reason.code, "text": reason.text}
                entries.append(each.entry(now, _RECORDED[action]))
        self.context.store.update_all(values)
        self.context.store.append(entries)
        self.context.store.rotate(now - self.context.settings.ledger_days * 86400)

    def _count_kept(self, observed: Observation, decided: Sequence[Decided]) -> None:
        """Count the running families that stay as they are."""
        for each in decided:
            container = observed.containers.get(each.family.id)
            if each.decision.action is Action.KEEP and container and container.state == RUNNING:
                self.context.metrics.skips.labels(each.decision.reason.code).inc()


def _is_in_use(decided: Decided) -> bool:
    return decided.decision.action is Action.KEEP and decided.decision.reason.code not in _NOT_IN_USE


def _is_news(row: Row, state: str, reason: Reason) -> bool:
    """Tell whether a reason is worth recording: a family asleep keeps `idle`, the reason that it was stopped for."""
    if reason.code == "asleep" and row.reason == "idle" and row.state == state:
        return False
    return row.reason != reason.code
