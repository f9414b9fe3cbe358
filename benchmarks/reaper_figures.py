"""A figure, and what is common to all: the limit that was agreed for it, and how a busy machine is judged."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

BY_WALL, BY_CPU = "wall time", "processor time, as the machine did other work too"
UNJUDGED = "not judged, as the machine did other work too"
_EXACT_BELOW = 100


@dataclass(frozen=True)
class Figure:
    """One thing measured, in `unit`. Without a limit it is only told."""

    what: str
    value: float
    unit: str = ""
    limit: float | None = None
    note: str = ""

    @property
    def over(self) -> bool:
        """Tell whether the limit is broken."""
        return self.limit is not None and self.value > self.limit

    def row(self) -> list[str]:
        """Return it as a row of a table."""
        return [self.what, self._told(self.value), "" if self.limit is None else self._told(self.limit), self.note]

    def failure(self) -> str:
        """Return it as a sentence."""
        return f"{self.what}: {self._told(self.value)}, at most {self._told(self.limit or 0)}"

    def _told(self, value: float) -> str:
        digits = 0 if value == int(value) or value >= _EXACT_BELOW else 1
        return f"{value:.{digits}f} {self.unit}".rstrip()


def busy() -> bool:
    """Tell whether this machine does other work, so that wall time says little."""
    return os.getloadavg()[0] > (os.cpu_count() or 1) / 2


def p95(values: Sequence[float]) -> float:
    """Return what 95 of 100 values do not exceed."""
    return sorted(values)[ceil(len(values) * 0.95) - 1]
