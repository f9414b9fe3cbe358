"""The reaper: stops families that nobody uses, and wakes them before anyone notices."""

from reaper.library import ensure_runtime, evict_idle, restart_all_runtimes
from reaper.wake.runtime import NotProvisionedError, Runtime, SuspendedError, TimedOutError, UnknownError, WakeError

__all__ = [
    "NotProvisionedError",
    "Runtime",
    "SuspendedError",
    "TimedOutError",
    "UnknownError",
    "WakeError",
    "ensure_runtime",
    "evict_idle",
    "restart_all_runtimes",
]
