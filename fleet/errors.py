"""Errors that say where, what and how to mend it, all at once."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `where` points at it, `what` names it and the way to mend it."""

    where: str
    what: str

    def __str__(self) -> str:
        """Return the problem as one line of text."""
        return f"{self.where}: {self.what}" if self.where else self.what


class FleetError(Exception):
    """Something the user can mend; `problems` holds every finding, in order."""

    def __init__(self, problems: str | Iterable[Problem]) -> None:
        """Take one sentence, or all problems that were found."""
        found = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        self.problems: tuple[Problem, ...] = found
        super().__init__("\n".join(str(problem) for problem in found))
