"""A family's agent as a caller gets it, and why a caller may not get it."""

from dataclasses import dataclass

from fleet.errors import FleetError


class WakeError(FleetError):
    """A family that cannot be had; `code` is a word for it."""

    code = "failed"


class UnknownError(WakeError):
    """There is no such family in the registry."""

    code = "unknown"


class SuspendedError(WakeError):
    """The registry says that the family stays stopped."""

    code = "suspended"


class NotProvisionedError(WakeError):
    """The family has no container of this stack."""

    code = "not_provisioned"


class TimedOutError(WakeError):
    """The agent did not answer `/health` in time."""

    code = "timed_out"


class NoBootSlotError(TimedOutError):
    """Others were booting all the while: as many as may at a time."""

    code = "no_turn"


@dataclass(frozen=True)
class Runtime:
    """A family's agent as a caller needs it. `ms`: how long it took, `woken`: whether it had to be started."""

    name: str
    state: str
    url: str | None
    woken: bool
    ms: int
