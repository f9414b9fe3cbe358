"""How sleeping families are woken for their jobs, whatever happens in between."""

from pathlib import Path

import pytest

from fleet import naming
from fleet.host.activity import nothing_read
from fleet.host.cron import CronReading
from reaper.sweep.sweeper import Sweeper
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import FakeContainer, ReaperUnderTest, make_reaper, write_registry
from tests.support.reaper.sweeps import sweeper


@pytest.fixture
def container(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> FakeContainer:
    """Return the container of family ash, which is asleep and healthy as soon as it runs."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    found = reaper.container("ash")
    found.state, found.port = "exited", 1
    return found


def sweep(found: Sweeper, *, resumed: bool = True) -> None:
    """Sweep, and wait for the families that it wakes."""
    found.sweep(resumed=resumed)
    found.waker.wait()


@pytest.mark.parametrize("suspended", [False, True])
def test_a_schedule_read_before_an_earlier_wake_is_outdated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, suspended: bool
) -> None:
    """A family stopped without a probe, or without an answer to one, has its files read once it is asleep."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    entry = family("ash")
    reaper = make_reaper(tmp_path, [entry])
    container, ash = reaper.container("ash"), reaper.context.families.current().get("ash")
    container.state, container.port = "exited", 1
    container.next_run = CronReading(reaper.clock.wall + 100)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.pass_time(41)
    sweep(found)
    assert container.state == "running"
    tomorrow = reaper.clock.wall + 86_400
    container.next_run, container.activity = CronReading(tomorrow), nothing_read(0.0, "silent")
    if suspended:
        write_registry(tmp_path, [{**entry, "state": "suspended"}])
    for _ in range(41):
        reaper.clock.pass_time(600)
        found.sweep()
    assert container.state == "exited"
    write_registry(tmp_path, [entry])
    found.sweep()
    assert reaper.context.store.row(ash.id).cron_next == tomorrow
    reaper.clock.pass_time(tomorrow - reaper.clock.wall - 30)
    sweep(found, resumed=False)
    assert reaper.engine.did("start") == [container.name] * 2


def test_a_job_survives_a_reaper_that_dies_before_it_started_the_family(
    reaper: ReaperUnderTest, container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A family that waited for a boot slot is started by the next reaper."""
    container.next_run = CronReading(reaper.clock.wall - 10)
    killed = sweeper(reaper)
    monkeypatch.setattr(killed.waker.workers, "submit", lambda *_: None)
    killed.sweep(resumed=False)
    assert killed.last.outcomes[reaper.context.families.current().get("ash").id].done == "starting"
    assert reaper.engine.did("start") == []
    found = sweeper(reaper)
    sweep(found, resumed=False)
    assert reaper.engine.did("start") == [container.name]


def test_a_family_that_got_no_boot_slot_is_retried_at_the_next_sweep(
    reaper: ReaperUnderTest, container: FakeContainer
) -> None:
    """It was not started, so it did not fail, and no alert is raised for it."""
    store = reaper.context.store
    container.next_run = CronReading(reaper.clock.wall - 10)
    slots = [store.acquire(f"boot:{number}", "wake", 600) for number in range(reaper.context.settings.max_boots)]
    found = sweeper(reaper)
    sweep(found, resumed=False)
    assert reaper.engine.did("start") == []
    ash = reaper.context.families.current().get("ash")
    assert "start_failed" not in {entry.action for entry in store.ledger(ash.id, 0.0)}
    assert b'failed_wakes_total{error="timed_out"} 0.0' in reaper.context.metrics.text()
    for slot in slots:
        assert slot
        store.release(slot)
    sweep(found)
    assert reaper.engine.did("start") == [container.name]


def test_a_known_run_survives_an_unreadable_schedule(reaper: ReaperUnderTest, container: FakeContainer) -> None:
    """After a roll the new container's files are read; if they cannot be, the known run still counts."""
    ash = reaper.context.families.current().get("ash")
    container.next_run = CronReading(reaper.clock.wall + 100)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    rolled = reaper.engine.add(ash.id, id="f" * 64, state="created", port=1)
    rolled.next_run = CronReading(unread="profiles are too large to look through")
    reaper.clock.pass_time(41)
    for _ in range(2):
        sweep(found)
        rolled.state = "exited"
    assert reaper.engine.did("start") == [rolled.name]


def test_a_sleeping_family_is_woken_once_per_job(reaper: ReaperUnderTest, container: FakeContainer) -> None:
    """The schedule is read from the stopped container's files; the family is started ahead of the run."""
    container.next_run = CronReading(reaper.clock.wall + 100)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    assert reaper.engine.did("next_run") == [container.name]
    assert reaper.engine.did("start") == []
    reaper.clock.pass_time(41)
    sweep(found)
    assert reaper.engine.did("start") == [container.name]
    container.state = "exited"
    container.next_run = CronReading(container.next_run.next_run)
    sweep(found)
    assert reaper.engine.did("start") == [container.name]
    ash = reaper.context.families.current().get("ash")
    assert [e.reason for e in reaper.context.store.ledger(ash.id, 0.0) if e.action == "start"] == ["cron"]


def test_each_of_many_families_stopped_together_has_its_schedule_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if that takes several sweeps, no family wakes for a past run, and no job is missed."""
    monkeypatch.setattr("reaper.sweep.cron._READS", 2)
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    reaper = make_reaper(tmp_path, [family(f"f{at}") for at in range(6)])
    containers = list(reaper.engine.containers.values())
    now, store = reaper.clock.wall, reaper.context.store
    ids = {naming.family_id_from_name(container.name): container for container in containers}
    for number, (id_, container) in enumerate(ids.items()):
        assert id_
        container.state, container.port = "exited", 5000 + number
        container.next_run = CronReading(now + 400)
        # The run that was known while it was awake, and that has passed since.
        store.update(id_, state="awake", cron_next=now - 3600, cron_of=container.id)
    found = sweeper(reaper)
    for _ in range(3):
        sweep(found)
        reaper.clock.pass_time(30)
    assert reaper.engine.did("start") == []
    assert {store.row(id_).cron_next for id_ in ids if id_} == {now + 400}
    reaper.clock.pass_time(270)
    sweep(found)
    assert sorted(reaper.engine.did("start")) == sorted(container.name for container in containers)


def test_unreadable_schedules_are_counted_only_of_sleeping_families(
    reaper: ReaperUnderTest, container: FakeContainer
) -> None:
    """A family that is awake, or has left the registry, no longer counts, so that the alert ends."""
    container.next_run = CronReading(None, "torn")
    found = sweeper(reaper)
    found.sweep(resumed=False)

    def counted() -> float:
        return next(iter(reaper.context.metrics.cron_unread.collect())).samples[0].value

    assert counted() == 1
    container.state = "running"
    reaper.clock.pass_time(30)
    found.sweep()
    assert counted() == 0
    container.state = "exited"
    reaper.clock.pass_time(30)
    found.sweep()
    assert counted() == 1
    write_registry(reaper.folder, [family("other")])
    reaper.clock.pass_time(30)
    found.sweep()
    assert counted() == 0


def test_a_run_survives_a_roll_that_replaces_the_container_before_it(
    reaper: ReaperUnderTest, container: FakeContainer
) -> None:
    """The family is woken again in its new container, unless the run is long past."""
    ash = reaper.context.families.current().get("ash")
    due = reaper.clock.wall + 100
    container.next_run = CronReading(due)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.pass_time(50)
    sweep(found)
    for number, passed in ((1, 10), (2, 700)):
        rolled = reaper.engine.add(ash.id, id=str(number) * 64, state="created", port=1, next_run=container.next_run)
        reaper.clock.pass_time(passed)
        sweep(found)
        assert rolled.state == ("running" if reaper.clock.wall < due else "created")
    assert len(reaper.engine.did("start")) == 2


def overdue(folder: Path, monkeypatch: pytest.MonkeyPatch, runs: list[float], **settings: int) -> ReaperUnderTest:
    """Return a reaper of sleeping families, each with a run that many seconds from now."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    reaper = make_reaper(folder, [family(f"f{at}") for at in range(len(runs))], **settings)
    for container, run in zip(reaper.engine.containers.values(), runs, strict=True):
        container.state, container.port, container.next_run = "exited", 1, CronReading(reaper.clock.wall + run)
    return reaper


def test_after_a_clock_was_set_ahead_families_wake_one_per_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long overdue families are all woken, as an agent schedules its next run only while it runs, but one per sweep."""
    reaper = overdue(tmp_path, monkeypatch, [3600.0 * hour for hour in range(1, 21)])
    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.wall += 86_400
    for number in range(1, 21):
        sweep(found)
        assert len(reaper.engine.did("start")) == number
        reaper.clock.pass_time(1)
    assert reaper.engine.did("start") == list(reaper.engine.containers)


def test_never_more_than_max_cron_starts_in_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many jobs due together the earliest go first, with one long overdue; the others follow."""
    reaper = overdue(tmp_path, monkeypatch, [30.0, 20.0, 10.0, -5.0, -5000.0], max_cron_starts=2)
    names = list(reaper.engine.containers)
    found = sweeper(reaper)
    sweep(found, resumed=False)
    assert set(reaper.engine.did("start")) == {names[2], names[3], names[4]}
    ledger = {entry.family for entry in reaper.context.store.ledger(None, 0.0) if entry.action == "starting"}
    assert len(ledger) == 3
    sweep(found)
    assert set(reaper.engine.did("start")) == set(names)


def test_a_family_that_waited_for_its_start_is_not_overdue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many jobs due together the last are started as fast as the first, however late that is."""
    reaper = overdue(tmp_path, monkeypatch, [0.0] * 6, max_cron_starts=2)
    found = sweeper(reaper)
    started = []
    for number in range(3):
        sweep(found, resumed=bool(number))
        started.append(len(reaper.engine.did("start")))
        reaper.clock.pass_time(700)
    assert started == [2, 4, 6]


def test_unreadable_files_are_retried_after_an_hour(reaper: ReaperUnderTest, container: FakeContainer) -> None:
    """They hardly change while the agent is stopped; after it ran, or in a new container, they are read at once."""
    ash = reaper.context.families.current().get("ash")
    container.next_run = CronReading(unread="profiles are too large to look through")
    found = sweeper(reaper)
    found.sweep(resumed=False)

    def reads_after(seconds: float) -> int:
        reaper.engine.calls.clear()
        reaper.clock.pass_time(seconds)
        found.sweep()
        return len(reaper.engine.did("next_run"))

    assert [reads_after(30) for _ in range(10)] == [0] * 10
    assert reads_after(3600) == 1
    assert [reads_after(3600), reads_after(3600)] == [0, 1]
    container.state = "running"
    found.sweep()
    container.state = "exited"
    assert [reads_after(30), reads_after(30)] == [1, 0]
    reaper.engine.add(ash.id, id="f" * 64, state="created", next_run=container.next_run)
    assert [reads_after(30), reads_after(30)] == [1, 0]


def test_reading_schedules_does_not_delay_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten seconds the remaining schedules are left to the next sweeps."""
    reaper = overdue(tmp_path, monkeypatch, [86_400.0] * 9)
    reaper.engine.before["next_run"] = lambda: reaper.clock.pass_time(4)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    assert len(reaper.engine.did("next_run")) == 3
    found.sweep()
    found.sweep()
    assert sorted(reaper.engine.did("next_run")) == sorted(reaper.engine.containers)
