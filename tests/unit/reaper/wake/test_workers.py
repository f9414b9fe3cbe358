"""The pool that takes the steps of all operations: bounded, shared out by urgency, and never stuck."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait

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
        self.look, self.record, self.steps, self.closed = look, record, 0, False

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

    def close(self) -> None:
        """Note that leases are given back."""
        self.closed = True


@pytest.fixture
def pool() -> Workers:
    """Return a pool on real clocks."""
    return Workers(Clock())


class Caller:
    """A caller by HTTP, with a loop of its own, and a sweep, which hands operations to the background."""

    def __init__(self, pool: Workers, loop: asyncio.AbstractEventLoop) -> None:
        """Call these workers."""
        self.pool, self.loop = pool, loop

    def ask(self, operation: Steps) -> "Future[Runtime]":
        """Wait for an operation as a request does."""

        async def both() -> Runtime:
            await asyncio.shield(self.pool.record(operation))
            return await self.pool.finish(operation)

        return asyncio.run_coroutine_threadsafe(both(), self.loop)

    def submit(self, operation: Steps) -> "Future[Runtime]":
        """Have an operation done in the background."""
        result = Future[Runtime]()

        def ended(error: BaseException | None) -> None:
            if error is None:
                result.set_result(DONE)
            else:
                result.set_exception(error)

        self.pool.submit(operation, ended)
        return result


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run a loop, as HTTP has one."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


@pytest.fixture
def caller(pool: Workers, loop: asyncio.AbstractEventLoop) -> Caller:
    """Return a caller of the pool."""
    return Caller(pool, loop)


def test_operations_in_the_background_are_bounded(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more begin than may be under way; the others begin as these end, and all are done."""
    monkeypatch.setattr(workers, "_BACKGROUND", 3)
    caller = Caller(Workers(Clock()), loop)
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
        caller.submit(Steps(lambda number=number: look(number), record))  # type: ignore[misc]
        for number in range(40)
    ]
    assert [result.result(SECONDS) for result in results] == [DONE] * 40
    assert most == 3


def test_sixty_four_wakes_in_the_background_at_once(caller: Caller) -> None:
    """So many families may be looked at in the same moment; the next one waits."""
    everyone, go = threading.Semaphore(0), threading.Event()

    def look() -> bool:
        everyone.release()
        return go.wait(SECONDS)

    results = [caller.submit(Steps(look)) for _ in range(65)]
    for _ in range(64):
        assert everyone.acquire(timeout=SECONDS)
    assert not everyone.acquire(timeout=0.2)
    go.set()
    assert not wait(results, SECONDS).not_done


def test_polls_leave_threads_to_first_looks_and_looks_leave_one_to_records(caller: Caller) -> None:
    """A daemon that hangs blocks every thread that it can: more urgent steps are taken at once all the same."""
    polls, looks, go = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def hang(blocked: threading.Semaphore) -> bool:
        blocked.release()
        return go.wait(SECONDS)

    def boots() -> Callable[[], bool]:
        answers = iter([False])
        return lambda: next(answers, True) and hang(polls)

    stuck = [caller.ask(Steps(boots())) for _ in range(100)]
    for _ in range(64):
        assert polls.acquire(timeout=SECONDS)
    assert caller.ask(Steps()).result(SECONDS) == DONE
    stuck += [caller.ask(Steps(lambda: hang(looks))) for _ in range(60)]
    for _ in range(40):
        assert looks.acquire(timeout=SECONDS)
    recorded = threading.Semaphore(0)
    stuck += [caller.ask(Steps(record=recorded.release)) for _ in range(100)]
    for _ in range(100):
        assert recorded.acquire(timeout=SECONDS)
    assert not any(result.done() for result in stuck)
    assert not polls.acquire(blocking=False)
    go.set()
    assert not wait(stuck, SECONDS).not_done


def test_an_operation_gives_its_thread_back_between_steps(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more families boot than there are threads."""
    monkeypatch.setattr(workers, "_POLLS", 2)
    caller = Caller(Workers(Clock()), loop)
    go = threading.Event()
    results = [caller.ask(Steps(go.is_set)) for _ in range(50)]
    assert caller.ask(Steps()).result(SECONDS) == DONE
    assert not any(result.done() for result in results)
    go.set()
    assert not wait(results, SECONDS).not_done


def test_an_operation_that_fails_does_not_hold_a_thread(caller: Caller) -> None:
    """Its future raises the error, and the next one is taken."""
    with pytest.raises(ZeroDivisionError):
        caller.ask(Steps(lambda: 1 / 0)).result(SECONDS)
    assert caller.submit(Steps()).result(SECONDS) == DONE


def test_a_cancelled_operation_still_records(caller: Caller) -> None:
    """The sender of a heartbeat may be gone before it is written down; the daemon is not asked for the answer."""
    go, recorded = threading.Event(), threading.Event()
    first = caller.ask(Steps(record=lambda: go.wait(SECONDS)))
    operation = Steps(record=recorded.set)
    assert caller.ask(operation).cancel()
    go.set()
    assert recorded.wait(SECONDS)
    assert first.result(SECONDS) == DONE
    assert caller.ask(Steps()).result(SECONDS) == DONE
    assert operation.steps == 1


def test_an_operation_that_is_cancelled_or_fails_gives_its_leases_back(caller: Caller) -> None:
    """No later step of it is taken."""
    polled = threading.Event()
    cancelled = Steps(polled.set)  # set() returns None: it is polled again and again
    asked = caller.ask(cancelled)
    assert polled.wait(SECONDS)
    asked.cancel()
    failing = Steps(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        caller.submit(failing).result(SECONDS)
    assert caller.ask(Steps()).result(SECONDS) == DONE
    assert failing.closed
    assert cancelled.closed


def test_what_follows_a_wake_does_not_hold_up_others(caller: Caller) -> None:
    """It writes to the store, which may be locked for a while."""
    go, begun = threading.Event(), threading.Event()

    def ended(_: BaseException | None) -> None:
        begun.set()
        go.wait(SECONDS)

    caller.pool.submit(Steps(), ended)
    assert begun.wait(SECONDS)
    assert caller.submit(Steps()).result(SECONDS) == DONE
    go.set()


def test_threads_end_with_their_pool(loop: asyncio.AbstractEventLoop) -> None:
    """A library's call leaves no thread behind."""
    before = threading.active_count()
    caller = Caller(Workers(Clock()), loop)
    results = [caller.submit(Steps()) for _ in range(30)]
    assert [result.result(SECONDS) for result in results] == [DONE] * 30
    del caller, results
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith(("wake", "record", "look", "poll")):
            thread.join(SECONDS)
    assert threading.active_count() <= before


def none_left(*_: object) -> None:
    """Fail as a machine without a thread, or a descriptor, to spare does."""
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("missing", ["threading.Thread.start", "asyncio.new_event_loop"])
def test_a_machine_without_a_thread_to_spare_is_asked_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """An operation that cannot begin is refused; the next one is taken once there are threads."""
    with monkeypatch.context() as full:
        full.setattr(missing, none_left)
        with pytest.raises(FleetError, match="no thread can be started"):
            caller.submit(Steps()).result(0)
    assert caller.submit(Steps()).result(SECONDS) == DONE


def test_one_thread_does_everything(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no further one can be started, what is submitted waits for the one that is busy."""
    blocked, go = threading.Event(), threading.Event()

    def block() -> bool:
        blocked.set()
        return go.wait(SECONDS)

    first = caller.submit(Steps(block))
    assert blocked.wait(SECONDS)
    monkeypatch.setattr(threading.Thread, "start", none_left)
    second = caller.submit(Steps())
    assert not wait([second], 0.2).done
    go.set()
    assert not wait([first, second], SECONDS).not_done
