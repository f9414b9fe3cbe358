"""How long to leave what failed alone, each time for longer."""

from collections.abc import Hashable


class Backoff:
    """Remembers failures by key, in this process. Times are seconds of one clock."""

    def __init__(self, first: float, longest: float) -> None:
        """Wait for `first` after one failure, twice as long after each further one, `longest` at most."""
        self._first, self._longest = first, longest
        self._until: dict[Hashable, tuple[float, float]] = {}

    def waits(self, key: Hashable, now: float) -> bool:
        """Tell whether it is too early to try again."""
        return now < self._until.get(key, (0.0, 0.0))[0]

    def failed(self, key: Hashable, now: float) -> None:
        """Record a failure."""
        _, pause = self._until.get(key, (0.0, self._first / 2))
        pause = min(self._longest, pause * 2)
        self._until[key] = now + pause, pause

    def went_well(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        self._until.pop(key, None)
