"""One look at the whole fleet: who is to be started, who may be stopped, and why everybody else stays as they are."""

import contextlib
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from uuid import UUID

from fleet import identity
from fleet.host import Seen
from fleet.problems import FleetError
from fleet.registry import Family
from reaper.clock import longest_gap, next_beat
from reaper.context import Context, first_facts, life, state_of
from reaper.decide import MISSING, RUNNING, STRANGER, Action, Decision, decide, policy_of
from reaper.reading import read_candidate, read_facts
from reaper.schedules import read_schedules
from reaper.stop import Stopped, stop_family
from reaper.store import Entry, Row, StoreError
from reaper.wake import Waker

log = logging.getLogger("reaper")

_WORKERS = 4
# Asked at one sweep for each stop that it may make; the others have their turn at the next.
_PROBES_PER_STOP = 2
_ROTATE_SECONDS = 3600.0
# Decisions that are written down by themselves; a stop writes its own lines.
_NOTED = {Action.KEEP: "keep", Action.START: "starting"}
_RETRY_SECONDS, _RETRY_LONGEST = 60.0, 900.0


@dataclass
class Outcome:
    """What a sweep decided for one family, and what came of it."""

    family: Family
    seen: Seen | None
    decision: Decision
    done: str = ""


@dataclass
class Report:
    """One sweep. `problem` says why it stopped nobody."""

    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    problem: str | None = None
    grace: str | None = None

    def of(self, action: Action) -> list[Outcome]:
        """Return the outcomes of an action."""
        return [outcome for outcome in self.outcomes.values() if outcome.decision.action is action]


class Sweeper:
    """Sweeps again and again, and remembers between sweeps what need not survive a restart."""

    def __init__(self, context: Context, waker: Waker, *, dry_run: bool = False) -> None:
        """Work on a reaper's parts; with `dry_run` nothing is written, started or stopped."""
        self.context = context
        self.waker = waker
        self.last = Report()
        self._dry_run = dry_run
        self._retry: dict[UUID, tuple[float, float]] = {}
        self._asked: dict[UUID, float] = {}
        self._rotated = 0.0
        self._grace_since = context.clock.now()
        self._stopping = threading.Lock()

    def sweep(self, *, resumed: bool = True, wait: bool = True) -> Report:
        """Look once and act. `resumed=False`: this process did not look before, so everyone gets a full grace.

        With `wait=False` candidates are asked and stopped in the background, one batch at a time, so that starts are
        never late for them. Never raises: a daemon or a store that fails is the report's problem.
        """
        began = self.context.clock.monotonic()
        report = Report()
        try:
            self._look(report, resumed=resumed)
            self.context.meters.daemon_ok.set(1)
        except StoreError as error:
            self._trouble(report, f"the store fails, so nobody is stopped: {error}")
            self._awake_safe(report)
        except FleetError as error:
            self.context.meters.daemon_ok.set(0)
            self._trouble(report, str(error))
        if report.problem is None:
            self._candidates(report, wait=wait)
            self.context.meters.last_sweep.set(self.context.clock.now())
        self.context.meters.sweep_seconds.set(self.context.clock.monotonic() - began)
        self.last = report
        return report

    def _trouble(self, report: Report, text: str) -> None:
        report.problem = text
        log.error("%s", text)

    # -- looking

    def _look(self, report: Report, *, resumed: bool) -> None:
        context = self.context
        families = context.families.by_id()
        context.meters.registry_ok.set(0 if context.families.problem else 1)
        grace_since = self._beat(report, resumed=resumed)
        rows = context.store.rows()
        holders = context.store.holders()
        listed = context.engine.list()
        self._count(listed, families)
        if not self._dry_run:
            read_schedules(context, families, listed, rows)
        for family in families.values():
            seen = listed.get(identity.container_name(family.id))
            row = rows.get(family.id, Row())
            leased = str(family.id) in holders
            facts = first_facts(seen, row, context.settings.stack, grace_since, leased=leased)
            decision = decide(context.clock.now(), facts, policy_of(family), context.settings.limits)
            report.outcomes[family.id] = Outcome(family, seen, decision)
        if not self._dry_run:
            self._note(report, rows)
            self._rotate()
        self._start_all(report)
        context.meters.store_ok.set(1)
        self._grace_since = grace_since

    def _beat(self, report: Report, *, resumed: bool) -> float:
        """Return since when the reaper has looked without a break; a break is written down."""
        context = self.context
        previous = context.store.beat()
        gap = longest_gap(context.settings.sweep_every)
        trouble = context.store.take_trouble()
        beat, why = next_beat(previous if resumed else None, context.clock, gap)
        if trouble and not why:
            beat, why = replace(beat, grace_since=beat.wall), f"the store failed ({trouble})"
        report.grace = why
        if self._dry_run:
            return beat.grace_since
        if why:
            log.warning("%s: everyone gets a full grace", why)
            context.store.clamp(beat.wall)
        context.store.set_beat(beat)
        return beat.grace_since

    def _count(self, listed: Mapping[str, Seen], families: Mapping[UUID, Family]) -> None:
        meters = self.context.meters
        stack = self.context.settings.stack
        names = map(identity.container_name, families)
        states = [life(state_of(listed.get(name), stack)) for name in names]
        meters.awake.set(states.count("awake"))
        meters.asleep.set(states.count("asleep"))
        meters.missing.set(states.count(MISSING) + states.count(STRANGER))
        meters.orphans.set(sum(identity.is_orphan(name) for name in listed))

    def _note(self, report: Report, rows: Mapping[UUID, Row]) -> None:
        """Write down what changed since the last look: who is awake, who was healthy, and why."""
        now = self.context.clock.now()
        values: dict[UUID, dict[str, float | str | None]] = {}
        entries = []
        for id_, outcome in report.outcomes.items():
            row, seen, reason = rows.get(id_, Row()), outcome.seen, outcome.decision.reason
            changed: dict[str, float | str | None] = {}
            state = _life_of(outcome, self.context.settings.stack)
            if row.state != state:
                changed |= {"state": state, "state_since": now}
                entries.append(Entry(now, id_, "seen", state, f"found {state}", seen.id if seen else ""))
            if seen and "(healthy)" in seen.status and row.healthy_id != seen.id:
                changed["healthy_id"] = seen.id
            if row.reason != reason.code and outcome.decision.action in _NOTED:
                changed |= {"reason": reason.code, "text": reason.text}
                entries.append(
                    Entry(now, id_, _NOTED[outcome.decision.action], reason.code, reason.text, seen.id if seen else "")
                )
            if changed:
                values[id_] = changed
        self.context.store.note_all(values)
        self.context.store.append(entries)

    def _rotate(self) -> None:
        now = self.context.clock.now()
        if abs(now - self._rotated) > _ROTATE_SECONDS:
            self._rotated = now
            self.context.store.rotate(now - self.context.settings.ledger_days * 86400)

    def _awake_safe(self, report: Report) -> None:
        """Without a store only count who is there. Heartbeats and `ensure` go on waking families by themselves."""
        context = self.context
        context.meters.store_ok.set(0)
        try:
            listed = context.engine.list()
        except FleetError as error:
            self._trouble(report, f"{report.problem}; {error}")
            return
        self._count(listed, context.families.by_id())

    # -- starting

    def _start_all(self, report: Report) -> None:
        for outcome in report.of(Action.START):
            family, code = outcome.family, outcome.decision.reason.code
            not_before, _ = self._retry.get(family.id, (0.0, 0.0))
            if self._dry_run:
                outcome.done = "would start"
            elif self.context.clock.monotonic() < not_before:
                outcome.done = "its start failed; tried again later"
            else:
                outcome.done = "starting"
                self._start(family, code)

    def _start(self, family: Family, code: str) -> None:
        store = self.context.store
        if code == "cron":
            store.note(family.id, cron_woken=store.row(family.id).cron_next)

        def done(ended: bool) -> None:
            if ended:
                self._retry.pop(family.id, None)
                return
            _, pause = self._retry.get(family.id, (0.0, _RETRY_SECONDS / 2))
            pause = min(_RETRY_LONGEST, pause * 2)
            self._retry[family.id] = (self.context.clock.monotonic() + pause, pause)
            if code == "cron":
                with contextlib.suppress(StoreError):
                    store.note(family.id, cron_woken=None)

        self.waker.ensure_later(family, signal="woken", reason=code, done=done)

    # -- stopping

    def _candidates(self, report: Report, *, wait: bool) -> None:
        for outcome in report.of(Action.KEEP):
            if outcome.seen and outcome.seen.state == RUNNING:
                self.context.meters.skips.labels(outcome.decision.reason.code).inc()
        asked = [*report.of(Action.STOP), *report.of(Action.PROBE)]
        asked.sort(key=lambda outcome: self._asked.get(outcome.family.id, 0.0))
        most = self.context.settings.max_stops
        chosen = asked[: most * _PROBES_PER_STOP]
        for outcome in asked[len(chosen) :]:
            outcome.done = "asked at a later sweep"
        if not chosen or not self._stopping.acquire(blocking=wait):
            return
        budget = _Budget(most)

        def work() -> None:
            try:
                with ThreadPoolExecutor(_WORKERS, "stop") as pool:
                    list(pool.map(lambda outcome: self._candidate(outcome, budget), chosen))
            finally:
                self._stopping.release()

        thread = threading.Thread(target=work, name="stops", daemon=True)
        thread.start()
        if wait:
            thread.join()

    def _candidate(self, outcome: Outcome, budget: "_Budget") -> None:
        """Ask one family's agent, and stop it if that is the decision, twice."""
        context, family, seen = self.context, outcome.family, outcome.seen
        if seen is None:
            return
        self._asked[family.id] = context.clock.monotonic()
        try:
            if self._dry_run:
                _, outcome.decision = read_facts(context, family, seen, self._grace_since)
                outcome.done = "would stop" if outcome.decision.action is Action.STOP else ""
                return
            outcome.decision = read_candidate(context, family, seen, self._grace_since).decision
            if outcome.decision.action is Action.STOP and budget.take():
                ended, second = stop_family(context, family, seen)
                outcome.decision = second or outcome.decision
                outcome.done = str(ended)
                if ended is not Stopped.DONE:
                    budget.give_back()
            elif outcome.decision.action is Action.STOP:
                outcome.done = "stopped at a later sweep"
            if outcome.decision.action is Action.KEEP:
                self._kept(outcome)
        except FleetError as error:
            outcome.done = str(error)
            log.warning("%s: %s", family.name, error)
        except StoreError as error:
            outcome.done = str(error)
            log.error("the store fails, so %s is not stopped: %s", family.name, error)  # noqa: TRY400 - said in full

    def _kept(self, outcome: Outcome) -> None:
        context, reason = self.context, outcome.decision.reason
        context.meters.skips.labels(reason.code).inc()
        if context.store.row(outcome.family.id).reason != reason.code and outcome.seen:
            context.store.note(outcome.family.id, reason=reason.code, text=reason.text)
            now = context.clock.now()
            context.store.append([Entry(now, outcome.family.id, "keep", reason.code, reason.text, outcome.seen.id)])


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


def _life_of(outcome: Outcome, stack: str) -> str:
    return life(state_of(outcome.seen, stack))
