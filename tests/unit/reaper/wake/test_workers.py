"""The pool that takes the steps of all operations: bounded, shared out by urgency, and never stuck."""

import gc
import threading
from collections.abc import Callable
from concurrent.futures import wait

import pytest

from fleet.errors import FleetError
from reaper.clock import Clock
from reaper.wake import workers
from reaper.wake.runtime import Runtime
from reaper.wake.workers import Workers

DONE = Runtime("ash", "awake", None, woken=False, ms=0)
SECONDS = 20


class Steps:
    """An operation that records, then calls `look` at each further step until it returns true."""

    def __init__(self, look: Callable[[], object] = lambda: True, record: Callable[[], object] = lambda: None) -> None:
        """Start before the first step."""
        self.look, self.record, self.steps = look, record, 0

    def step(self) -> Runtime | None:
        """Take one step."""
        self.steps += 1
        if self.steps == 1:
            self.record()
            return None
        return DONE if self.look() else None

    def pause(self) -> float:
        """Poll often."""
        return 0.001


@pytest.fixture
def pool() -> Workers:
    """Return a pool on real clocks."""
    return Workers(Clock())


def test_operations_in_the_background_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more begin than may be under way; the others begin as these end, and all are done."""
    monkeypatch.setattr(workers, "_BACKGROUND", 3)
    pool = Workers(Clock())
    under_way, most, lock, begun = 0, 0, threading.Lock(), threading.Barrier(3)

    def record() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)

    def look(number: int) -> bool:
        nonlocal under_way
        if number < 3:
            begun.wait(SECONDS)
        with lock:
            under_way -= 1
        return True

    results = [
        pool.submit(Steps(lambda number=number: look(number), record), background=True)  # type: ignore[misc]
        for number in range(40)
    ]
    assert [result.result(SECONDS) for result in results] == [DONE] * 40
    assert most == 3


def test_sixty_four_wakes_in_the_background_at_once(pool: Workers) -> None:
    """So many families may be looked at in the same moment; the next one waits."""
    everyone, go = threading.Semaphore(0), threading.Event()

    def look() -> bool:
        everyone.release()
        return go.wait(SECONDS)

    results = [pool.submit(Steps(look), background=True) for _ in range(65)]
    for _ in range(64):
        assert everyone.acquire(timeout=SECONDS)
    assert not everyone.acquire(timeout=0.2)
    go.set()
    assert not wait(results, SECONDS).not_done


def test_polls_leave_threads_to_first_looks_and_looks_leave_one_to_records(pool: Workers) -> None:
    """A daemon that hangs blocks every thread that it can: more urgent steps are taken at once all the same."""
    polls, looks, go = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def hang(blocked: threading.Semaphore) -> bool:
        blocked.release()
        return go.wait(SECONDS)

    def boots() -> Callable[[], bool]:
        answers = iter([False])
        return lambda: next(answers, True) and hang(polls)

    stuck = [pool.submit(Steps(boots())) for _ in range(100)]
    for _ in range(64):
        assert polls.acquire(timeout=SECONDS)
    assert pool.submit(Steps()).result(SECONDS) == DONE
    stuck += [pool.submit(Steps(lambda: hang(looks))) for _ in range(60)]
    for _ in range(40):
        assert looks.acquire(timeout=SECONDS)
    recorded = threading.Semaphore(0)
    stuck += [pool.submit(Steps(record=recorded.release)) for _ in range(100)]
    for _ in range(100):
        assert recorded.acquire(timeout=SECONDS)
    assert not any(result.done() for result in stuck)
    assert not polls.acquire(blocking=False)
    go.set()
    assert not wait(stuck, SECONDS).not_done


def test_an_operation_gives_its_thread_back_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more families boot than there are threads."""
    monkeypatch.setattr(workers, "_POLLS", 2)
    pool = Workers(Clock())
    go = threading.Event()
    results = [pool.submit(Steps(go.is_set)) for _ in range(50)]
    assert pool.submit(Steps()).result(SECONDS) == DONE
    assert not any(result.done() for result in results)
    go.set()
    assert not wait(results, SECONDS).not_done


def test_an_operation_that_fails_does_not_hold_a_thread(pool: Workers) -> None:
    """Its future raises the error, and the next one is taken."""
    with pytest.raises(ZeroDivisionError):
        pool.submit(Steps(lambda: 1 / 0)).result(SECONDS)
    assert pool.submit(Steps(), background=True).result(SECONDS) == DONE


def test_a_cancelled_operation_still_records(pool: Workers) -> None:
    """The sender of a heartbeat may be gone before it is written down; the daemon is not asked for the answer."""
    go, recorded = threading.Event(), threading.Event()
    first = pool.submit(Steps(record=lambda: go.wait(SECONDS)))
    operation = Steps(record=recorded.set)
    assert pool.submit(operation).cancel()
    go.set()
    assert recorded.wait(SECONDS)
    assert first.result(SECONDS) == DONE
    assert pool.submit(Steps()).result(SECONDS) == DONE
    assert operation.steps == 1


def test_threads_end_with_their_pool() -> None:
    """A library's call leaves no thread behind."""
    before = threading.active_count()
    pool = Workers(Clock())
    results = [pool.submit(Steps()) for _ in range(30)]
    assert [result.result(SECONDS) for result in results] == [DONE] * 30
    del pool, results
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith(("wake", "record", "look", "poll")):
            thread.join(SECONDS)
    assert threading.active_count() <= before


def test_a_machine_without_a_thread_to_spare_is_asked_again(pool: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that cannot begin is refused; the next one is taken once there are threads."""

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none_left)
        with pytest.raises(FleetError, match="no thread can be started"):
            pool.submit(Steps()).result(0)
    assert pool.submit(Steps()).result(SECONDS) == DONE
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none_left)
        assert pool.submit(Steps()).result(SECONDS) == DONE  # by the threads that are there
