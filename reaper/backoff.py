"""When something that failed is worth trying again: later and later."""

from collections.abc import Hashable


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
