"""How sleepers are woken for their own jobs, whatever comes in between."""

from concurrent.futures import Future
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
    """Return the container of the family ash, which sleeps and answers as soon as it runs."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    found = reaper.container("ash")
    found.state, found.port = "exited", 1
    return found


def sweep(found: Sweeper, *, resumed: bool = True) -> None:
    """Sweep, and wait for whoever is woken by it."""
    found.sweep(resumed=resumed)
    found.waker.wait()


@pytest.mark.parametrize("suspended", [False, True])
def test_a_schedule_of_an_earlier_sleep_is_not_taken_for_this_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, suspended: bool
) -> None:
    """Whoever is stopped without having been asked, or without an answer, has its files read once it sleeps."""
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


def test_a_job_is_not_lost_with_a_reaper_that_dies_before_it_woke_anybody(
    reaper: ReaperUnderTest, container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many wait their turn to boot; the next reaper begins with them anew."""
    container.next_run = CronReading(reaper.clock.wall - 10)
    killed = sweeper(reaper)
    monkeypatch.setattr(killed.waker.workers, "submit", lambda *_, **__: Future())
    killed.sweep(resumed=False)
    assert killed.last.outcomes[reaper.context.families.current().get("ash").id].done == "starting"
    assert reaper.engine.did("start") == []
    found = sweeper(reaper)
    sweep(found, resumed=False)
    assert reaper.engine.did("start") == [container.name]


def test_a_family_that_waited_its_turn_in_vain_is_tried_at_the_next_sweep(
    reaper: ReaperUnderTest, container: FakeContainer
) -> None:
    """Others booted all the while: it was not started, so it did not fail, and nobody is called for it."""
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


def test_a_run_that_was_known_outlives_a_schedule_that_cannot_be_read(
    reaper: ReaperUnderTest, container: FakeContainer
) -> None:
    """A roll makes a new container, whose files are read anew: what they do not say is not forgotten."""
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


def test_sleepers_are_woken_for_their_jobs_once(reaper: ReaperUnderTest, container: FakeContainer) -> None:
    """The schedule is read from a stopped container's files; the family is started ahead of it, once for each run."""
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


def test_of_many_who_were_put_to_sleep_each_has_its_schedule_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody else, more than one sweep reads: nobody wakes for a run of the past, and no job is slept through."""
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
        # What was known while it was awake: a run that it has had since.
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


def test_unread_schedules_are_counted_of_sleepers_alone(reaper: ReaperUnderTest, container: FakeContainer) -> None:
    """Whoever is awake, or gone from the registry, needs no reading: the alert has to end."""
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


def test_a_run_is_not_lost_with_a_container_that_a_roll_replaces_before_it(
    reaper: ReaperUnderTest, container: FakeContainer
) -> None:
    """The family was woken for it, and is again as its new container sleeps; once the run is long past it is not."""
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
    """Return a reaper of sleepers, each with one run that many seconds from now."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    reaper = make_reaper(folder, [family(f"f{at}") for at in range(len(runs))], **settings)
    for container, run in zip(reaper.engine.containers.values(), runs, strict=True):
        container.state, container.port, container.next_run = "exited", 1, CronReading(reaper.clock.wall + run)
    return reaper


def test_a_clock_that_is_set_ahead_wakes_no_crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who missed a run long ago is woken, one family at a sweep, as an agent plans its next run only while it runs."""
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
    """Of many jobs at about the same time the earliest go first, a long overdue one beside them; the rest follow."""
    reaper = overdue(tmp_path, monkeypatch, [30.0, 20.0, 10.0, -5.0, -5000.0], max_cron_starts=2)
    names = list(reaper.engine.containers)
    found = sweeper(reaper)
    sweep(found, resumed=False)
    assert set(reaper.engine.did("start")) == {names[2], names[3], names[4]}
    ledger = {entry.family for entry in reaper.context.store.ledger(None, 0.0) if entry.action == "starting"}
    assert len(ledger) == 3
    sweep(found)
    assert set(reaper.engine.did("start")) == set(names)


def test_who_waited_for_a_start_since_the_job_was_due_is_not_overdue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many jobs at one time the last are started as fast as the first, however late that is."""
    reaper = overdue(tmp_path, monkeypatch, [0.0] * 6, max_cron_starts=2)
    found = sweeper(reaper)
    started = []
    for number in range(3):
        sweep(found, resumed=bool(number))
        started.append(len(reaper.engine.did("start")))
        reaper.clock.pass_time(700)
    assert started == [2, 4, 6]


def test_files_that_cannot_be_read_are_left_alone_for_an_hour(
    reaper: ReaperUnderTest, container: FakeContainer
) -> None:
    """They stay as they are while nobody runs; once the agent ran, or in a new container, they are read at once."""
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


def test_reading_schedules_does_not_hold_a_sweep_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the files of many are: after ten seconds the rest are left for the next sweeps."""
    reaper = overdue(tmp_path, monkeypatch, [86_400.0] * 9)
    reaper.engine.before["next_run"] = lambda: reaper.clock.pass_time(4)
    found = sweeper(reaper)
    found.sweep(resumed=False)
    assert len(reaper.engine.did("next_run")) == 3
    found.sweep()
    found.sweep()
    assert sorted(reaper.engine.did("next_run")) == sorted(reaper.engine.containers)
