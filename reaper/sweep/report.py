"""What a sweep decided, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from reaper.sweep.probe import Decided


@dataclass(frozen=True)
class Report:
    """One sweep. `problem` says why it acted on no family, `grace` why every family gets a full grace period."""

    outcomes: Mapping[UUID, Decided] = field(default_factory=dict)
    problem: str | None = None
    grace: str | None = None
