"""The result of a wake, and its errors."""

from dataclasses import dataclass

from fleet.errors import FleetError


class WakeError(FleetError):
    """A family cannot be woken; `code` is the label of `hermes_reaper_failed_wakes_total`."""

    code = "failed"


class UnknownError(WakeError):
    """The registry has no such family."""

    code = "unknown"


class SuspendedError(WakeError):
    """The registry suspends the family."""

    code = "suspended"


class NotProvisionedError(WakeError):
    """This stack has no container for the family."""

    code = "not_provisioned"


class TimedOutError(WakeError):
    """The agent did not answer `/health` in time."""

    code = "timed_out"


class NoBootSlotError(TimedOutError):
    """Others held all boot slots all the while."""

    code = "no_turn"


@dataclass(frozen=True)
class Runtime:
    """A family's agent. `ms` is how long the call took, `woken` whether the call started the agent."""

    name: str
    state: str
    url: str | None
    woken: bool
    ms: int
