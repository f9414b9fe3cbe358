"""A plan as plain data: for Markdown, JSON and the guards."""

from dataclasses import dataclass

# What a family does now, where it is not at work; unknown is an agent that could not be asked.
ASLEEP = "asleep"
IDLE = "idle"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reason:
    """One thing that changes for a family: `what` names it, `detail` is a line or a diff, or empty."""

    what: str
    detail: str = ""


@dataclass(frozen=True)
class Change:
    """One family that a roll touches.

    `kind` is `added`, `rolled`, `removed` or `noted` (its description changes, its container does not). `started` tells
    whether its container is started and gated; `wave` counts from 0, and is None for one that is not. `doing` says what
    the agent does now, and is empty where it was not read.
    """

    name: str
    id: str
    kind: str
    reasons: tuple[Reason, ...] = ()
    started: bool = False
    wave: int | None = None
    volume: str = ""
    doing: str = ""


@dataclass(frozen=True)
class Refusal:
    """What a guard found. `allowed`: the reviewer allowed it by name; `final`: `up` refuses it too."""

    guard: str
    why: str
    allowed: bool = False
    final: bool = False


@dataclass(frozen=True)
class Step:
    """One resource of the preview, as the guards read it."""

    operation: str
    kind: str
    name: str
    retained: bool = False


@dataclass(frozen=True)
class Plan:
    """All that is known of one preview. `before` counts the families that the stack has now.

    `lines` and `ids` hold (family, before, after) where a family's Hermes line, or the id behind its name, changes.
    """

    stack: str
    live: bool
    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    before: int = 0
    other: tuple[Step, ...] = ()
    images: tuple[str, ...] = ()
    lines: tuple[tuple[str, str, str], ...] = ()
    ids: tuple[tuple[str, str, str], ...] = ()
    volumes: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def of(self, kind: str) -> tuple[Change, ...]:
        """Return the families of one kind of change."""
        return tuple(change for change in self.changes if change.kind == kind)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many families there are of each kind, unchanged, and rolled without being started."""
        kinds = {kind: len(self.of(kind)) for kind in ("added", "rolled", "removed", "noted")}
        asleep = sum(not change.started for change in self.of("rolled"))
        return {**kinds, "unchanged": self.unchanged, "asleep": asleep}

    @property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Return the names of the families that are started, wave by wave."""
        numbers = sorted({change.wave for change in self.changes if change.wave is not None})
        return tuple(tuple(c.name for c in self.changes if c.wave == number) for number in numbers)

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """Return what was not allowed."""
        return tuple(refusal for refusal in self.refusals if not refusal.allowed)

    @property
    def exit_code(self) -> int:
        """Return 1 after an error, 3 where a guard refused, 2 for changes, 0 for none."""
        if self.refused:
            return 3
        if self.errors:
            return 1
        return 2 if self.changes or self.other else 0
