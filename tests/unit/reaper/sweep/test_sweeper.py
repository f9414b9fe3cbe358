"""What a sweep does with a fleet, and what it never does."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.errors import FleetError
from fleet.host.activity import Activity
from reaper import views
from reaper.store import Entry
from reaper.sweep import stop
from reaper.sweep.probe import read_candidate
from reaper.sweep.stop import Stopped
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper
from tests.support.reaper.sweeps import candidate, reasons, settled, sweeper
from tests.support.waiting import until


def test_the_first_sweep_stops_no_family_and_idle_ones_are_stopped_in_time(reaper: ReaperUnderTest) -> None:
    """A new reaper gives every family a full grace, then stops those that stay idle; afterwards they are asleep."""
    found = sweeper(reaper)
    assert set(reasons(found.sweep(resumed=False)).values()) == {"grace"}
    reaper.clock.pass_time(890)
    found.sweep()
    reaper.clock.pass_time(890)
    assert set(reasons(found.sweep()).values()) == {"grace"}
    assert reaper.engine.did("stop") == []
    reaper.clock.pass_time(60)
    found.sweep()
    assert {container.state for container in reaper.engine.containers.values()} == {"exited"}
    assert set(reasons(found.sweep()).values()) == {"asleep"}


def test_a_family_asleep_shows_why_it_was_stopped(reaper: ReaperUnderTest) -> None:
    """Later sweeps keep that reason, until the family was woken and then stopped by something else."""
    found = settled(reaper)
    assert reaper.container("ash").state == "exited"
    found.sweep()
    ash = reaper.context.families.current().get("ash")
    assert views.status(reaper.context, ash).text.startswith("no sign of life for")
    reaper.container("ash").state = "running"
    reaper.context.store.record_activity(ash.id, "touched", reaper.clock.wall)
    found.sweep()
    reaper.container("ash").state = "exited"
    found.sweep()
    assert views.status(reaper.context, ash).text == "no device or job needs it"


def test_a_sweep_lists_once_and_probes_only_candidates(reaper: ReaperUnderTest) -> None:
    """A family that a heartbeat keeps awake is neither inspected nor probed."""
    found = settled(reaper)
    for container in reaper.engine.containers.values():
        container.state = "running"
    reaper.context.store.record_activity(
        reaper.context.families.current().get("ash").id, "heartbeat", reaper.clock.wall
    )
    reaper.engine.calls.clear()
    found.sweep()
    assert reaper.engine.did("list") == [""]
    assert set(reaper.engine.did("activity")) == {reaper.container("birch").name}


def test_a_busy_agent_is_left_alone_and_the_ledger_says_why(reaper: ReaperUnderTest) -> None:
    """An open connection keeps a family awake; the reason is recorded once, with its sentence and the facts."""
    reaper.container("ash").activity = Activity(0.0, inbound=1)
    settled(reaper).sweep()
    assert reaper.container("ash").state == "running"
    assert reaper.container("birch").state == "exited"
    ash = reaper.context.families.current().get("ash")
    lines = [entry for entry in reaper.context.store.ledger(ash.id, 0.0) if entry.reason == "inbound"]
    assert [(line.action, line.text) for line in lines] == [("keep", "1 open connection(s) to its API")]
    assert lines[0].inputs
    assert lines[0].inputs["activity"]["inbound"] == 1


def test_a_decision_from_a_listing_is_recorded_with_its_facts(reaper: ReaperUnderTest) -> None:
    """So is a family that a heartbeat keeps awake, without a probe, and one that is started for a heartbeat."""
    reaper.container("birch").state = "exited"
    expected = {"ash": "keep", "birch": "starting"}
    families = {name: reaper.context.families.current().get(name).id for name in expected}
    for id_ in families.values():
        reaper.context.store.record_activity(id_, "heartbeat", reaper.clock.wall)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    found.waker.wait()
    for name, action in expected.items():
        (line,) = (each for each in reaper.context.store.ledger(families[name], 0.0) if each.action == action)
        assert (line.inputs or {})["last_heartbeat_at"] == line.at


def test_a_chat_that_begins_between_the_readings_prevents_the_stop(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reading sees a chat that began after the first. Without it the chat would be cut off."""
    readings: list[str] = []

    def chat_begins() -> None:
        readings.append("")
        if len(readings) == 2:
            reaper.container("ash").activity = Activity(0.0, inbound=1)

    reaper.container("birch").state = "exited"
    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.pass_time(850)
    found.sweep()
    reaper.clock.pass_time(850)
    found.sweep()
    reaper.clock.pass_time(200)
    reaper.engine.before["inspect"] = chat_begins
    found.sweep()
    assert reaper.engine.did("stop") == []
    lines = {entry.action: entry for entry in reaper.context.store.ledger(None, 0.0) if entry.reason == "inbound"}
    assert {"abort", "keep"} <= set(lines)
    assert [(lines[action].inputs or {})["activity"]["inbound"] for action in ("abort", "keep")] == [1, 1]

    readings.clear()
    reaper.container("ash").activity = Activity(0.0)
    ash = reaper.context.families.current().get("ash")
    idle = read_candidate(reaper.context, ash, reaper.container("ash").id, 0.0)
    monkeypatch.setattr(stop, "second_reading", lambda *_: idle)
    reaper.container("ash").activity = Activity(0.0, inbound=1)
    assert stop.stop_family(reaper.context, idle).done == Stopped.DONE  # this is what the second reading prevents


def test_a_heartbeat_between_the_readings_is_seen(reaper: ReaperUnderTest) -> None:
    """The store is read again after the second probe."""
    found = settled(reaper)
    ash = reaper.context.families.current().get("ash")
    container = reaper.container("ash")
    container.state, container.started = "running", reaper.clock.wall - 4000
    first = candidate(reaper.context, "ash")
    reaper.engine.before["activity"] = lambda: reaper.context.store.record_activity(
        ash.id, "heartbeat", reaper.clock.wall
    )
    outcome = stop.stop_family(reaper.context, first)
    assert outcome.done == Stopped.BUSY
    assert outcome.decision.reason.code == "heartbeat"
    assert found.last.problem is None


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 40_000.0])
def test_a_clock_that_jumps_gives_every_family_a_full_grace(reaper: ReaperUnderTest, jump: float) -> None:
    """After a clock was set, or the host slept, no family is stopped for its whole idle_after."""
    reaper.container("ash").activity = reaper.container("birch").activity = Activity(0.0, children=1)
    found = settled(reaper)
    reaper.container("ash").activity = reaper.container("birch").activity = Activity(0.0)
    reaper.clock.wall += jump
    report = found.sweep()
    assert report.grace
    assert reaper.engine.did("stop") == []
    reaper.clock.pass_time(800)
    found.sweep()
    reaper.clock.pass_time(800)
    found.sweep()
    assert reaper.engine.did("stop") == []
    reaper.clock.pass_time(300)
    found.sweep()
    assert len(reaper.engine.did("stop")) == 2


def test_a_host_that_sleeps_between_the_readings_stops_no_family(reaper: ReaperUnderTest) -> None:
    """The second reading reads the clocks again."""
    settled(reaper)
    reaper.container("ash").state = "running"
    first = candidate(reaper.context, "ash")
    reaper.clock.wall += 7200
    outcome = stop.stop_family(reaper.context, first)
    assert outcome.done == Stopped.BUSY
    assert outcome.decision.reason.code == "grace"


def test_a_restarted_reaper_gives_a_full_grace(reaper: ReaperUnderTest) -> None:
    """Heartbeats may have been missed while it did not run."""
    settled(reaper)
    for container in reaper.engine.containers.values():
        container.state = "running"
    assert set(reasons(sweeper(reaper).sweep(resumed=False)).values()) == {"grace"}


def test_a_failed_stop_is_not_counted_and_is_retried(reaper: ReaperUnderTest) -> None:
    """If Docker refuses, the ledger says so, no stop is counted, and the next sweep retries."""
    reaper.engine.fail["stop"] = FleetError("the daemon is busy")
    found = settled(reaper)
    ash = reaper.context.families.current().get("ash")
    actions = [entry.action for entry in reaper.context.store.ledger(ash.id, 0.0)]
    assert "stop_failed" in actions
    assert "stop" not in actions
    assert reaper.context.metrics.failed_stops._value.get() >= 2
    reaper.engine.fail.clear()
    found.sweep()
    assert reaper.container("ash").state == "exited"


def test_a_container_replaced_between_the_readings_is_no_error(reaper: ReaperUnderTest) -> None:
    """If a roll replaces the container, the new one is not stopped."""
    settled(reaper)
    ash = reaper.context.families.current().get("ash")
    first = candidate(reaper.context, "ash")
    fresh = reaper.engine.add(ash.id, id="f" * 64)
    assert stop.stop_family(reaper.context, first).done == Stopped.REPLACED
    assert fresh.state == "running"


def test_never_more_than_max_stops_in_a_sweep(tmp_path: Path) -> None:
    """A fleet that becomes idle all at once is stopped over several sweeps."""
    reaper = make_reaper(tmp_path, [family(f"f{at}") for at in range(5)], max_stops=2)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    for _ in range(3):
        reaper.clock.pass_time(600)
        found.sweep()
    assert len(reaper.engine.did("stop")) == 2
    found.sweep()
    found.sweep()
    assert len(reaper.engine.did("stop")) == 5


def test_unmanaged_containers_and_other_stacks_are_left_alone(reaper: ReaperUnderTest) -> None:
    """A container under a family's name without this stack's labels is neither stopped nor started."""
    reaper.container("ash").labels["hermes.fleet/stack"] = "another"
    found = settled(reaper)
    assert reasons(found.last)["ash"] == "stranger"
    assert reaper.container("ash").name not in reaper.engine.did("stop")
    reaper.container("ash").state = "exited"
    reaper.context.store.record_activity(
        reaper.context.families.current().get("ash").id, "heartbeat", reaper.clock.wall
    )
    found.sweep()
    assert reaper.engine.did("start") == []


def test_a_store_that_fails_stops_no_family_and_recovers_with_a_grace(reaper: ReaperUnderTest) -> None:
    """With a corrupt file no family is stopped; then a new file is created, and every family gets a full grace."""
    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.pass_time(890)
    found.sweep()
    reaper.clock.pass_time(890)
    found.sweep()
    reaper.context.store.close()
    for name in ("reaper.db-wal", "reaper.db-shm"):
        (reaper.folder / name).unlink(missing_ok=True)
    (reaper.folder / "reaper.db").write_bytes(b"not a database, far from it" * 400)
    reaper.clock.pass_time(60)
    report = found.sweep()
    assert report.problem
    assert "no family is stopped" in report.problem
    assert set(reasons(found.sweep()).values()) == {"grace"}
    assert reaper.engine.did("stop") == []
    assert list(reaper.folder.glob("reaper.db.corrupt-*"))


def test_an_unreachable_daemon_is_a_message(reaper: ReaperUnderTest) -> None:
    """The sweep reports it, and the next one works again."""
    found = settled(reaper)
    reaper.engine.fail["list"] = FleetError("docker: no daemon answers")
    assert found.sweep().problem == "docker: no daemon answers"
    reaper.engine.fail.clear()
    assert found.sweep().problem is None


def test_a_daemon_unreachable_for_long_gives_every_family_a_full_grace(reaper: ReaperUnderTest) -> None:
    """A long failure counts like a reaper that did not run; a short one does not."""
    found = settled(reaper)
    for seconds, grace in ((100, False), (300, True)):
        for container in reaper.engine.containers.values():
            container.state, container.started = "running", 0.0
        reaper.engine.fail["list"] = FleetError("docker: no daemon answers")
        for _ in range(4):
            reaper.clock.pass_time(seconds)
            assert found.sweep().problem
        reaper.engine.fail.clear()
        assert bool(found.sweep().grace) is grace
        assert {container.state for container in reaper.engine.containers.values()} == {
            "running" if grace else "exited"
        }


def test_a_thread_that_cannot_start_costs_one_sweep(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one probes the candidates again."""
    start = threading.Thread.start

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.pass_time(890)
    found.sweep()
    reaper.clock.pass_time(890)
    found.sweep()
    monkeypatch.setattr(threading.Thread, "start", none_left)
    reaper.clock.pass_time(60)
    found.sweep()
    assert reaper.engine.did("stop") == []
    monkeypatch.setattr(threading.Thread, "start", start)
    found.sweep()
    assert {container.state for container in reaper.engine.containers.values()} == {"exited"}


def test_a_report_does_not_change_after_the_sweep(reaper: ReaperUnderTest) -> None:
    """A sweep that does not wait reports that families are being probed, and so does its report once they are stopped.

    A second sweep leaves them to a later one while the first batch is still running.
    """
    gate, found = threading.Event(), sweeper(reaper)
    found.sweep(resumed=False)
    for seconds in (890, 890, 60):
        reaper.clock.pass_time(seconds)
        report = found.sweep(wait=False)
        reaper.engine.before["inspect"] = lambda: gate.wait(30)
    second = found.sweep(wait=False)
    assert {outcome.done for outcome in report.outcomes.values()} == {"being probed"}
    assert {outcome.done for outcome in second.outcomes.values()} == {"probed at a later sweep"}
    gate.set()
    until(lambda: len(reaper.engine.did("stop")) == 2 and not found._stops.running, 30)
    assert {outcome.done for outcome in report.outcomes.values()} == {"being probed"}


def test_a_family_with_fresh_heartbeats_comes_back(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sweep starts a family that a roll put to sleep while it woke."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    container = reaper.container("ash")
    container.state, container.port = "created", 1
    found = sweeper(reaper)
    reaper.context.store.record_activity(
        reaper.context.families.current().get("ash").id, "heartbeat", reaper.clock.wall
    )
    found.sweep(resumed=False)
    found.waker.wait()
    assert container.state == "running"
    assert reaper.context.store.holders() == set()


def test_a_dry_run_writes_starts_and_stops_nothing(reaper: ReaperUnderTest) -> None:
    """The decisions are the real ones; nothing is done about them."""
    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.pass_time(899)
    found.sweep()
    reaper.clock.pass_time(899)
    found.sweep()
    reaper.clock.pass_time(10)
    before = [*reaper.context.store.ledger(None, 0.0), *reaper.context.store.rows().items()]
    report = sweeper(reaper, dry_run=True).sweep()
    assert {outcome.done for outcome in report.outcomes.values()} == {"would stop"}
    assert [*reaper.context.store.ledger(None, 0.0), *reaper.context.store.rows().items()] == before
    assert reaper.engine.did("stop") == []


def test_old_lines_are_deleted_from_the_ledger(reaper: ReaperUnderTest) -> None:
    """A sweep deletes the lines older than the limit."""
    ash = reaper.context.families.current().get("ash")
    old = Entry(reaper.clock.wall - 31 * 86_400, ash.id, "stop", "idle", "long ago")
    reaper.context.store.append([old, replace(old, at=reaper.clock.wall - 86_400, text="yesterday")])
    sweeper(reaper).sweep(resumed=False)
    texts = [entry.text for entry in reaper.context.store.ledger(ash.id, 0.0)]
    assert "long ago" not in texts
    assert "yesterday" in texts
