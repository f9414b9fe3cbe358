"""One look at the whole fleet: who is to be started, who may be stopped, and why everybody else stays as they are."""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from fleet import identity
from fleet.host import Seen
from fleet.problems import FleetError
from fleet.registry import Family
from reaper.candidates import Candidates
from reaper.clock import longest_gap, next_beat
from reaper.context import Context, as_inputs, first_facts, life, state_of
from reaper.database import StoreError
from reaper.decide import MISSING, STRANGER, Action, Reason, decide, policy_of
from reaper.report import Outcome, Report
from reaper.runtime import NoTurnError
from reaper.schedules import read_schedules
from reaper.store import Entry, Row
from reaper.wake import Waker

log = logging.getLogger("reaper")

_ROTATE_SECONDS = 3600.0
# The reasons to keep a family that are no sign of life of its own.
_WAITING = frozenset({"leased", "grace"})
# Decisions that are written down by themselves; a stop writes its own lines.
_NOTED = {Action.KEEP: "keep", Action.START: "starting"}
_RETRY_SECONDS, _RETRY_LONGEST = 60.0, 900.0


class Sweeper:
    """Sweeps again and again, and remembers between sweeps what need not survive a restart."""

    def __init__(self, context: Context, waker: Waker, *, dry_run: bool = False) -> None:
        """Work on a reaper's parts; with `dry_run` nothing is written, started or stopped."""
        self.context = context
        self.waker = waker
        self.last = Report()
        self._dry_run = dry_run
        self._retry: dict[UUID, tuple[float, float]] = {}
        self._rotated = 0.0
        self._grace_since = context.clock.now()
        self._candidates = Candidates(context, dry_run=dry_run)

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
            self._candidates.work_off(report, self._grace_since, wait=wait)
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
            report.outcomes[family.id] = Outcome(family, seen, facts, decision)
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
            state = life(state_of(seen, self.context.settings.stack))
            if row.state != state:
                changed |= {"state": state, "state_since": now}
                entries.append(Entry(now, id_, "seen", state, f"found {state}", seen.id if seen else ""))
            if row.unread_since is not None and state == "awake" and _lives(outcome):
                changed["unread_since"] = None  # nobody asks its agent now: what could not be read begins anew
            if seen and "(healthy)" in seen.status and row.healthy_id != seen.id:
                changed["healthy_id"] = seen.id
            if outcome.decision.action in _NOTED and _is_news(row, state, reason):
                changed |= {"reason": reason.code, "text": reason.text}
                action, inputs = _NOTED[outcome.decision.action], as_inputs(outcome.facts)
                container = seen.id if seen else ""
                entries.append(Entry(now, id_, action, reason.code, reason.text, container, inputs))
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
        due = store.row(family.id).cron_next if code == "cron" else None

        def done(failed: FleetError | None) -> None:
            if failed is None:
                self._retry.pop(family.id, None)
                # Not before: a reaper that dies while the family waits its turn must not pass for one that woke it.
                if due is not None:
                    with contextlib.suppress(StoreError):
                        store.note(family.id, cron_woken=due)
            elif not isinstance(failed, NoTurnError):
                _, pause = self._retry.get(family.id, (0.0, _RETRY_SECONDS / 2))
                pause = min(_RETRY_LONGEST, pause * 2)
                self._retry[family.id] = (self.context.clock.monotonic() + pause, pause)

        self.waker.ensure_later(family, signal="woken", reason=code, done=done)


def _lives(outcome: Outcome) -> bool:
    return outcome.decision.action is Action.KEEP and outcome.decision.reason.code not in _WAITING


def _is_news(row: Row, state: str, reason: Reason) -> bool:
    """Tell whether a reason says more than what is remembered: a family asleep is so for what it was stopped for."""
    if reason.code == "asleep" and row.reason == "idle" and row.state == state:
        return False
    return row.reason != reason.code
