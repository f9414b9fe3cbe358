"""What a sweep decided, and what came of it."""

from dataclasses import dataclass, field
from uuid import UUID

from fleet.host import ContainerSummary
from fleet.registry import Family
from reaper.policy.facts import Facts
from reaper.policy.rules import Action, Decision


@dataclass
class Outcome:
    """What a sweep decided for one family, the facts that it decided from, and what came of it."""

    family: Family
    seen: ContainerSummary | None
    facts: Facts
    decision: Decision
    done: str = ""


@dataclass
class Report:
    """One sweep. `problem` says why it stopped nobody, `grace` why everyone gets a full one."""

    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    problem: str | None = None
    grace: str | None = None

    def of(self, action: Action) -> list[Outcome]:
        """Return the outcomes of an action."""
        return [outcome for outcome in self.outcomes.values() if outcome.decision.action is action]
