"""What a sweep decided, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from reaper.sweep.probe import Decided


@dataclass(frozen=True)
class Outcome(Decided):
    """What was decided for one family and what was done about it, in words; empty where nothing was to do."""

    done: str = ""

    @classmethod
    def of(cls, decided: Decided, done: str = "") -> Self:
        """Return the outcome of a decision."""
        return cls(decided.family, decided.container_id, decided.facts, decided.decision, done)


@dataclass(frozen=True)
class Report:
    """One sweep. `problem` says why it acted on no family, `grace` why every family gets a full grace period."""

    outcomes: Mapping[UUID, Outcome] = field(default_factory=dict)
    problem: str | None = None
    grace: str | None = None
