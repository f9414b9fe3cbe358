"""Work that nobody waits for: bounded, once at a time, and never stuck."""

import threading

import pytest

from reaper.wake.background import Background


def test_everything_is_done_by_few_threads() -> None:
    """What is handed in waits its turn; no more is under way than allowed."""
    background = Background("test", 3)
    going, most, done = 0, 0, []
    lock, begun = threading.Lock(), threading.Barrier(3)

    def work(number: int) -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        if number < 3:
            begun.wait(20)
        with lock:
            going -= 1
            done.append(number)

    for number in range(40):
        assert background.submit(number, lambda number=number: work(number))  # type: ignore[misc]
    background.wait()
    assert sorted(done) == list(range(40))
    assert most == 3


def test_a_key_is_worked_on_once_at_a_time() -> None:
    """While it waits or is under way it is not taken again; afterwards it is."""
    background, go = Background("test", 1), threading.Event()
    done: list[str] = []
    assert background.submit("a", lambda: done.append(str(go.wait(20))))
    assert background.submit("b", lambda: done.append("b"))
    assert not background.submit("a", lambda: done.append("twice"))
    assert not background.submit("b", lambda: done.append("twice"))
    go.set()
    background.wait()
    assert done == ["True", "b"]
    assert background.submit("a", lambda: done.append("again"))
    background.wait()
    assert done[-1] == "again"


def test_work_that_fails_does_not_hold_its_key() -> None:
    """It is logged, and the next of its key is taken."""
    background = Background("test", 1)
    done: list[str] = []
    background.submit("a", lambda: done.append(str(1 / 0)))
    background.wait()
    assert background.submit("a", lambda: done.append("a"))
    background.wait()
    assert done == ["a"]


def test_a_machine_without_a_thread_to_spare_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be begun is not taken for under way; where one thread is there, it does it all."""
    background, start, go = Background("test", 2), threading.Thread.start, threading.Event()
    done: list[str] = []

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    assert not background.submit("a", lambda: done.append("a"))
    background.wait()
    monkeypatch.setattr(threading.Thread, "start", start)
    assert background.submit("a", lambda: done.append(str(go.wait(20))))
    monkeypatch.setattr(threading.Thread, "start", none_left)
    assert background.submit("b", lambda: done.append("b"))
    go.set()
    background.wait()
    assert done == ["True", "b"]
