"""A figure with its agreed limit, and how a busy machine is judged."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

BY_WALL, BY_CPU = "wall time", "processor time, as the machine did other work too"
UNJUDGED = "not judged, as the machine did other work too"
_EXACT_BELOW = 100


@dataclass(frozen=True)
class Figure:
    """One measurement, in `unit`. Without a limit it is only reported."""

    what: str
    value: float
    unit: str = ""
    limit: float | None = None
    note: str = ""

    @property
    def over(self) -> bool:
        """Return whether the limit is exceeded."""
        return self.limit is not None and self.value > self.limit

    def row(self) -> list[str]:
        """Return a row of the table."""
        return [self.what, self._told(self.value), "" if self.limit is None else self._told(self.limit), self.note]

    def failure(self) -> str:
        """Return a sentence."""
        return f"{self.what}: {self._told(self.value)}, at most {self._told(self.limit or 0)}"

    def _told(self, value: float) -> str:
        digits = 0 if value == int(value) or value >= _EXACT_BELOW else 1
        return f"{value:.{digits}f} {self.unit}".rstrip()


def busy() -> bool:
    """Return whether other processes use this machine, so that wall time is unreliable."""
    return os.getloadavg()[0] > (os.cpu_count() or 1) / 2


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return sorted(values)[ceil(len(values) * 0.95) - 1]
