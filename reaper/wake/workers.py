"""One pool of threads that takes the steps of all operations, so that a hung Docker daemon never delays a heartbeat.

An operation gives its thread back between two steps. A step blocks for as long as one Docker call may take, which the
client bounds to 20 s. Threads that are blocked in such calls are why one queue is not enough: each urgency leaves some
threads to the more urgent ones.
"""

import contextlib
import heapq
import itertools
import logging
import threading
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from fleet.errors import FleetError
from reaper.clock import Clock
from reaper.wake.runtime import Runtime

log = logging.getLogger("reaper")


class Urgency(IntEnum):
    """What a step does, most urgent first."""

    RECORD = 0  # record activity, which needs the store alone
    FIRST_LOOK = 1  # look at a family for a caller who waits: all it takes if its agent is up
    POLL = 2  # look again, or look for a wake in the background
    BEGIN = 3  # the first step of a wake in the background


# How many threads the steps of an urgency and of all less urgent ones may hold together.
_THREADS = {Urgency.RECORD: 105, Urgency.FIRST_LOOK: 104, Urgency.POLL: 64, Urgency.BEGIN: 64}
# Threads that wait for the next step; any more end.
_SPARE_THREADS = 4
# Wakes in the background at once; the others begin, and their time with them, as these end.
_BACKGROUND = 64


class Operation(Protocol):
    """Work in steps, taken on any thread, one after the other. The first step records activity and nothing else."""

    def step(self) -> Runtime | None:
        """Do what can be done now; return the result once there is one."""

    def pause(self) -> float:
        """Return the seconds to wait before the next step, asked after the second one."""


@dataclass
class _Task:
    operation: Operation
    background: bool
    result: "Future[Runtime]" = field(default_factory=Future)
    steps: int = 0

    @property
    def urgency(self) -> Urgency:
        if self.background:
            return Urgency.POLL if self.steps else Urgency.BEGIN
        return Urgency(min(self.steps, Urgency.POLL))


class Workers:
    """Up to 105 threads, started on demand; they end when there is nothing left to do."""

    def __init__(self, clock: Clock) -> None:
        """Start without threads; `clock` times the pauses between steps."""
        self._clock = clock
        lock = threading.RLock()
        self._queued, self._ended = threading.Condition(lock), threading.Condition(lock)
        self._queues: dict[Urgency, list[tuple[float, int, _Task]]] = {urgency: [] for urgency in Urgency}
        self._running = dict.fromkeys(Urgency, 0)
        self._threads = self._spare = self._tasks = self._background = 0
        self._numbers = itertools.count()

    def submit(self, operation: Operation, *, background: bool = False) -> "Future[Runtime]":
        """Take an operation's steps until it has a result, which the future gets.

        It gets a FleetError if no thread can be started. Cancelling it ends the operation after its first step.
        """
        task = _Task(operation, background)
        with self._queued:
            if not self._spare and not self._start_thread() and not self._threads:
                task.result.set_exception(FleetError("no thread can be started"))
            else:
                self._tasks += 1
                self._queue(task, 0.0)
                self._queued.notify()
        return task.result

    def wait(self) -> None:
        """Wait until every operation has ended and the callbacks of its future have run."""
        with self._ended:
            self._ended.wait_for(lambda: not self._tasks)

    def _queue(self, task: _Task, delay: float) -> None:
        entry = (self._clock.monotonic() + delay, next(self._numbers), task)
        heapq.heappush(self._queues[task.urgency], entry)

    def _start_thread(self) -> bool:
        if self._threads >= max(_THREADS.values()):
            return False
        try:
            threading.Thread(target=self._work, name="wake", daemon=True).start()
        except RuntimeError as error:
            log.error("no thread can be started: %s", error)  # noqa: TRY400 - the message is enough
            return False
        self._threads += 1
        return True

    def _work(self) -> None:
        while task := self._next():
            self._step(task)

    def _next(self) -> _Task | None:
        """Wait for the next step that is due and take it; return None if this thread is not needed."""
        with self._queued:
            while True:
                now = self._clock.monotonic()
                open_queues = [queue for urgency, queue in self._queues.items() if queue and self._may_take(urgency)]
                due = next((queue for queue in open_queues if queue[0][0] <= now), None)
                if due:
                    return self._take(heapq.heappop(due)[2])
                if self._spare >= _SPARE_THREADS or not any(self._queues.values()):
                    self._threads -= 1
                    return None
                self._spare += 1
                self._clock.wait(self._queued, min((queue[0][0] - now for queue in open_queues), default=None))
                self._spare -= 1

    def _may_take(self, urgency: Urgency) -> bool:
        threads = sum(self._running[each] for each in Urgency if each >= urgency)
        return threads < _THREADS[urgency] and (urgency is not Urgency.BEGIN or self._background < _BACKGROUND)

    def _take(self, task: _Task) -> _Task:
        self._running[task.urgency] += 1
        self._background += task.urgency is Urgency.BEGIN
        if any(self._queues.values()) and not self._spare:
            self._start_thread()  # or this step would delay the others
        return task

    def _step(self, task: _Task) -> None:
        urgency = task.urgency
        with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
            try:
                # A heartbeat is recorded although its sender is gone; nothing more is done for it.
                runtime = None if task.steps and task.result.cancelled() else task.operation.step()
            except BaseException as error:  # noqa: BLE001 - the future raises it
                task.result.set_exception(error)
            else:
                if runtime:
                    task.result.set_result(runtime)
        with self._queued:
            self._running[urgency] -= 1
            task.steps += 1
            if task.result.done():
                self._end(task)
            else:
                self._queue(task, task.operation.pause() if task.steps > 1 else 0.0)

    def _end(self, task: _Task) -> None:
        self._tasks -= 1
        self._background -= task.background
        if not self._tasks:
            self._queued.notify_all()  # the spare threads end
            self._ended.notify_all()
