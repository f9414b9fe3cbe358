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
from tests.support.reaper.sweeps import reasons, settled, sweeper


def test_the_first_sweep_stops_nobody_and_idle_ones_are_stopped_in_time(reaper: ReaperUnderTest) -> None:
    """A reaper that just began gives everyone a full grace, then stops who stays idle; by then they are asleep."""
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


def test_a_family_asleep_is_shown_with_what_it_was_stopped_for(reaper: ReaperUnderTest) -> None:
    """Later sweeps find nothing new to say; once others woke and stopped it, nobody asks for it."""
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
    assert views.status(reaper.context, ash).text == "nobody asks for it"


def test_one_listing_and_only_candidates_are_asked(reaper: ReaperUnderTest) -> None:
    """A sweep lists once, and inspects and asks nobody whom a heartbeat keeps awake anyway."""
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
    """An open connection keeps a family awake; the reason is written down once, with its sentence and the facts."""
    reaper.container("ash").activity = Activity(0.0, inbound=1)
    settled(reaper).sweep()
    assert reaper.container("ash").state == "running"
    assert reaper.container("birch").state == "exited"
    ash = reaper.context.families.current().get("ash")
    lines = [entry for entry in reaper.context.store.ledger(ash.id, 0.0) if entry.reason == "inbound"]
    assert [(line.action, line.text) for line in lines] == [("keep", "1 open connection(s) to its API")]
    assert lines[0].inputs
    assert lines[0].inputs["activity"]["inbound"] == 1


def test_what_a_listing_decides_is_written_down_with_its_facts(reaper: ReaperUnderTest) -> None:
    """Who is not even asked, as a heartbeat keeps it awake, and who is started for one."""
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


def test_somebody_who_comes_between_the_readings_keeps_their_agent(
    reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chat that begins after the first reading is seen by the second one. Without the second it would be cut off."""
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
    first = read_candidate
    ash = reaper.context.families.current().get("ash")
    seen = reaper.context.engine.list()[reaper.container("ash").name]
    idle = first(reaper.context, ash, seen, 0.0)
    monkeypatch.setattr(stop, "second_reading", lambda *_: idle)
    reaper.container("ash").activity = Activity(0.0, inbound=1)
    assert stop.stop_family(reaper.context, ash, seen)[0] is Stopped.DONE  # this is what the second reading prevents


def test_a_heartbeat_between_the_readings_is_seen(reaper: ReaperUnderTest) -> None:
    """Signs of life are read again after the agent was asked for the second time."""
    found = settled(reaper)
    ash = reaper.context.families.current().get("ash")
    container = reaper.container("ash")
    container.state, container.started = "running", reaper.clock.wall - 4000
    seen = reaper.context.engine.list()[container.name]
    reaper.engine.before["activity"] = lambda: reaper.context.store.record_activity(
        ash.id, "heartbeat", reaper.clock.wall
    )
    ended, second = stop.stop_family(reaper.context, ash, seen)
    assert ended is Stopped.BUSY
    assert second
    assert second.decision.reason.code == "heartbeat"
    assert found.last.problem is None


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 40_000.0])
def test_a_clock_that_jumps_gives_everyone_a_full_grace(reaper: ReaperUnderTest, jump: float) -> None:
    """A clock that was set, or a host that slept, stops nobody for the family's whole idle_after."""
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


def test_a_host_that_sleeps_between_the_readings_stops_nobody(reaper: ReaperUnderTest) -> None:
    """The second reading looks at the clocks again."""
    settled(reaper)
    container, ash = reaper.container("ash"), reaper.context.families.current().get("ash")
    container.state = "running"
    seen = reaper.context.engine.list()[container.name]
    reaper.clock.wall += 7200
    ended, second = stop.stop_family(reaper.context, ash, seen)
    assert ended is Stopped.BUSY
    assert second
    assert second.decision.reason.code == "grace"


def test_a_restarted_reaper_gives_a_full_grace(reaper: ReaperUnderTest) -> None:
    """Heartbeats may have been missed while it was away."""
    settled(reaper)
    for container in reaper.engine.containers.values():
        container.state = "running"
    assert set(reasons(sweeper(reaper).sweep(resumed=False)).values()) == {"grace"}


def test_a_failed_stop_is_no_stop_and_is_tried_again(reaper: ReaperUnderTest) -> None:
    """Docker refuses: the ledger says so, no stop is counted, and the next sweep tries again."""
    reaper.engine.fail["stop"] = FleetError("the daemon is tired")
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
    """A roll that comes in between wins; its new container is not stopped."""
    settled(reaper)
    ash = reaper.context.families.current().get("ash")
    seen = reaper.context.engine.list()[reaper.container("ash").name]
    fresh = reaper.engine.add(ash.id, id="f" * 64)
    assert stop.stop_family(reaper.context, ash, seen)[0] is Stopped.REPLACED
    assert fresh.state == "running"


def test_never_more_than_max_stops_in_a_sweep(tmp_path: Path) -> None:
    """A fleet that goes idle all at once goes to sleep by and by."""
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


def test_strangers_and_other_stacks_are_never_touched(reaper: ReaperUnderTest) -> None:
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


def test_a_store_that_fails_stops_nobody_and_recovers_with_a_grace(reaper: ReaperUnderTest) -> None:
    """A corrupt file: awake-safe and said so; a new file is begun, and everyone gets a full grace."""
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
    assert "nobody is stopped" in report.problem
    assert set(reasons(found.sweep()).values()) == {"grace"}
    assert reaper.engine.did("stop") == []
    assert list(reaper.folder.glob("reaper.db.corrupt-*"))


def test_a_daemon_that_is_away_is_a_message(reaper: ReaperUnderTest) -> None:
    """The sweep says so and goes on the next time."""
    found = settled(reaper)
    reaper.engine.fail["list"] = FleetError("docker: no daemon answers")
    assert found.sweep().problem == "docker: no daemon answers"
    reaper.engine.fail.clear()
    assert found.sweep().problem is None


def test_a_daemon_that_is_away_for_long_gives_everyone_a_full_grace(reaper: ReaperUnderTest) -> None:
    """Nobody could be looked at, as if the reaper had not run; a short failure is no reason to wait."""
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


def test_a_thread_that_cannot_be_had_costs_one_sweep(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one asks the candidates again."""
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


def test_a_family_with_fresh_heartbeats_comes_back(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A roll that put a family to sleep in the moment it woke is made good at the next sweep."""
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
    """The decision is the real one; nothing follows from it."""
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


def test_old_lines_leave_the_ledger(reaper: ReaperUnderTest) -> None:
    """Lines older than the limit are dropped at a sweep."""
    ash = reaper.context.families.current().get("ash")
    old = Entry(reaper.clock.wall - 31 * 86_400, ash.id, "stop", "idle", "long ago")
    reaper.context.store.append([old, replace(old, at=reaper.clock.wall - 86_400, text="yesterday")])
    sweeper(reaper).sweep(resumed=False)
    texts = [entry.text for entry in reaper.context.store.ledger(ash.id, 0.0)]
    assert "long ago" not in texts
    assert "yesterday" in texts
