"""Work that nobody waits for: each key once at a time, and no more threads than it takes."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable

log = logging.getLogger("reaper")


class Background:
    """Threads that end when there is nothing left to do. What is handed in waits its turn."""

    def __init__(self, name: str, most: int) -> None:
        """Use up to `most` threads, called `name`."""
        self._name = name
        self._most = most
        self._waiting: deque[tuple[Hashable, Callable[[], None]]] = deque()
        self._keys: set[Hashable] = set()
        self._threads = 0
        self._changed = threading.Condition()

    def submit(self, key: Hashable, work: Callable[[], None]) -> bool:
        """Do some work, unless work of this key waits or is under way. Returns whether it will be done."""
        with self._changed:
            if key in self._keys:
                return False
            if self._threads < self._most and not self._begin_thread() and not self._threads:
                return False
            self._keys.add(key)
            self._waiting.append((key, work))
            return True

    def wait(self) -> None:
        """Wait until nothing is left to do."""
        with self._changed:
            self._changed.wait_for(lambda: not self._keys)

    def _begin_thread(self) -> bool:
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError as error:
            log.error("no thread can be had for %s: %s", self._name, error)  # noqa: TRY400 - said in full
            return False
        self._threads += 1
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._threads -= 1
                    return
                key, work = self._waiting.popleft()
            try:
                work()
            except Exception:
                log.exception("%s of %s failed", self._name, key)
            finally:
                with self._changed:
                    self._keys.discard(key)
                    self._changed.notify_all()


class Backoff:
    """Remembers in this process who failed, and for how long each is left alone. Times are in seconds."""

    def __init__(self, first: float, longest: float) -> None:
        """Wait for `first` after one failure, twice as long after each further one, and never longer than `longest`."""
        self._first, self._longest = first, longest
        self._until: dict[Hashable, tuple[float, float]] = {}

    def waits(self, key: Hashable, now: float) -> bool:
        """Tell whether it is too early to try again."""
        return now < self._until.get(key, (0.0, 0.0))[0]

    def failed(self, key: Hashable, now: float) -> None:
        """Leave it alone for a while."""
        _, pause = self._until.get(key, (0.0, self._first / 2))
        pause = min(self._longest, pause * 2)
        self._until[key] = now + pause, pause

    def went_well(self, key: Hashable) -> None:
        """Forget that it ever failed."""
        self._until.pop(key, None)
