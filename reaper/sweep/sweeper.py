"""One look at the whole fleet: who is to be started, who may be stopped, and why everybody else stays as they are."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from uuid import UUID

from fleet import naming
from fleet.errors import FleetError
from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper.clock import Beat, longest_gap, next_beat
from reaper.context import Context
from reaper.policy.facts import MISSING, UNMANAGED, family_state, known_facts, policy_of, state_of
from reaper.policy.rules import Action, Reason, decide
from reaper.store import Entry, Row
from reaper.store.database import StoreError
from reaper.sweep.candidates import Candidates
from reaper.sweep.cron import Schedules
from reaper.sweep.report import Outcome, Report
from reaper.sweep.start import Starts
from reaper.wake.waker import Waker

log = logging.getLogger("reaper")

_ROTATE_SECONDS = 3600.0
# Reasons to keep a family running that say nothing about whether anybody uses it.
_WAITING = frozenset({"leased", "grace"})
# Decisions that are written down by themselves; a stop writes its own lines.
_NOTED = {Action.KEEP: "keep", Action.START: "starting"}


class Sweeper:
    """Sweeps again and again, and remembers between sweeps what need not survive a restart."""

    def __init__(self, context: Context, waker: Waker, *, dry_run: bool = False) -> None:
        """Work on a reaper's parts; with `dry_run` nothing is written, started or stopped."""
        self.context = context
        self.waker = waker
        self.last = Report()
        self._dry_run = dry_run
        self._rotated = 0.0
        self._grace_since = context.clock.now()
        self._schedules = Schedules(context)
        self._starts = Starts(context, waker, dry_run=dry_run)
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
            self.context.metrics.daemon_ok.set(1)
        except StoreError as error:
            self._trouble(report, f"the store fails, so nobody is stopped: {error}")
            self._awake_safe(report)
        except FleetError as error:
            self.context.metrics.daemon_ok.set(0)
            self._trouble(report, str(error))
        if report.problem is None:
            self._candidates.process(report, self._grace_since, wait=wait)
            self.context.metrics.last_sweep.set(self.context.clock.now())
        self.context.metrics.sweep_seconds.set(self.context.clock.monotonic() - began)
        self.last = report
        return report

    def _trouble(self, report: Report, text: str) -> None:
        report.problem = text
        log.error("%s", text)

    # -- looking

    def _look(self, report: Report, *, resumed: bool) -> None:
        context = self.context
        families = context.families.by_id()
        context.metrics.registry_ok.set(0 if context.families.problem else 1)
        beat, why = self._clocks(resumed=resumed)
        rows = context.store.rows()
        holders = context.store.holders()
        listed = context.engine.list()
        grace_since = self._beat(report, beat, why)
        self._count(listed, families)
        if not self._dry_run:
            self._schedules.read(families, listed, rows)
        for family in families.values():
            seen = listed.get(naming.container_name(family.id))
            row = rows.get(family.id, Row())
            leased = str(family.id) in holders
            facts = known_facts(seen, row, context.settings.stack, grace_since, leased=leased)
            decision = decide(context.clock.now(), facts, policy_of(family), context.settings.limits)
            report.outcomes[family.id] = Outcome(family, seen, facts, decision)
        starting = self._starts.choose(report)
        if not self._dry_run:
            self._note(report, rows, starting)
            self._rotate()
            for outcome in starting:
                self._starts.start(outcome)
        context.metrics.store_ok.set(1)
        self._grace_since = grace_since

    def _clocks(self, *, resumed: bool) -> tuple[Beat, str | None]:
        """Return the clocks now, and why they say that the reaper was interrupted.

        What was written down by a clock that went ahead is then moved to now.
        """
        context = self.context
        gap = longest_gap(context.settings.sweep_every)
        beat, why = next_beat(context.store.beat() if resumed else None, context.clock, gap)
        if why and not self._dry_run:
            context.store.clamp(beat.wall)
        return beat, why

    def _beat(self, report: Report, beat: Beat, why: str | None) -> float:
        """Return since when the reaper has looked without a break, and write down that it looked.

        Called once the containers are listed: a sweep that learned nothing of them was no look.
        """
        store = self.context.store
        trouble = store.pop_error()
        if trouble and not why:
            beat, why = replace(beat, grace_since=beat.wall), f"the store failed ({trouble})"
        report.grace = why
        if not self._dry_run:
            if why:
                log.warning("%s: everyone gets a full grace", why)
            store.set_beat(beat)
        return beat.grace_since

    def _count(self, listed: Mapping[str, ContainerSummary], families: Mapping[UUID, Family]) -> None:
        metrics = self.context.metrics
        stack = self.context.settings.stack
        names = map(naming.container_name, families)
        states = [family_state(state_of(listed.get(name), stack)) for name in names]
        metrics.awake.set(states.count("awake"))
        metrics.asleep.set(states.count("asleep"))
        metrics.missing.set(states.count(MISSING) + states.count(UNMANAGED))
        metrics.orphans.set(sum(naming.is_orphan(name) for name in listed))

    def _note(self, report: Report, rows: Mapping[UUID, Row], starting: Sequence[Outcome]) -> None:
        """Write down what changed since the last look: who is awake, who was healthy, and why."""
        decided = {outcome.family.id for outcome in (*report.of(Action.KEEP), *starting)}
        now = self.context.clock.now()
        values: dict[UUID, dict[str, float | str | None]] = {}
        entries = []
        for id_, outcome in report.outcomes.items():
            row, seen, reason = rows.get(id_, Row()), outcome.seen, outcome.decision.reason
            changed: dict[str, float | str | None] = {}
            state = family_state(state_of(seen, self.context.settings.stack))
            if row.state != state:
                changed |= {"state": state, "state_since": now}
                entries.append(Entry(now, id_, "seen", state, f"found {state}", seen.id if seen else ""))
            if row.unread_since is not None and state == "awake" and _lives(outcome):
                changed["unread_since"] = None  # nobody asks its agent now: what could not be read begins anew
            if seen and seen.healthy and row.healthy_id != seen.id:
                changed["healthy_id"] = seen.id
            if id_ in decided and _is_news(row, state, reason):
                changed |= {"reason": reason.code, "text": reason.text}
                action, inputs = _NOTED[outcome.decision.action], asdict(outcome.facts)
                container = seen.id if seen else ""
                entries.append(Entry(now, id_, action, reason.code, reason.text, container, inputs))
            if changed:
                values[id_] = changed
        self.context.store.update_all(values)
        self.context.store.append(entries)

    def _rotate(self) -> None:
        now = self.context.clock.now()
        if abs(now - self._rotated) > _ROTATE_SECONDS:
            self._rotated = now
            self.context.store.rotate(now - self.context.settings.ledger_days * 86400)

    def _awake_safe(self, report: Report) -> None:
        """Without a store only count who is there. Heartbeats and `ensure` go on waking families by themselves."""
        context = self.context
        context.metrics.store_ok.set(0)
        try:
            listed = context.engine.list()
        except FleetError as error:
            self._trouble(report, f"{report.problem}; {error}")
            return
        self._count(listed, context.families.by_id())


def _lives(outcome: Outcome) -> bool:
    return outcome.decision.action is Action.KEEP and outcome.decision.reason.code not in _WAITING


def _is_news(row: Row, state: str, reason: Reason) -> bool:
    """Tell whether a reason says more than what is remembered: a family asleep is so for what it was stopped for."""
    if reason.code == "asleep" and row.reason == "idle" and row.state == state:
        return False
    return row.reason != reason.code
