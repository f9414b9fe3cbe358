"""Errors a user can fix. One error holds all problems: each says where, what is wrong, and how to fix it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `where` locates it, `what` describes it and ends with `; fix: …`."""

    where: str
    what: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.where}: {self.what}" if self.where else self.what


class FleetError(Exception):
    """An error the user can fix; `problems` holds every finding, in order."""

    def __init__(self, problems: str | Iterable[Problem]) -> None:
        """Take one sentence or all problems."""
        self.problems = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
