"""The reaper's clocks, injected everywhere, and the check that notices a clock that was set or a host that slept."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

# Between two sweeps clocks drift apart by less than this, unless one was set or the host slept.
_DRIFT_SECONDS = 5.0
_GAP_SECONDS = 900.0


def boot_seconds() -> float:
    """Return the seconds since the host booted, time asleep included. This clock cannot be set."""
    return time.clock_gettime(_CLOCK)


@cache
def boot_id() -> str:
    """Return the kernel's id of the host's current boot, empty if it has none."""
    return _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""


@dataclass(frozen=True)
class Clock:
    """Wall time for what is stored, monotonic time for waiting, boot time for leases. All in seconds."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    boot: Callable[[], float] = boot_seconds
    sleep: Callable[[float], None] = field(default=time.sleep)
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)


@dataclass(frozen=True)
class Beat:
    """The clocks at a sweep (`boot` is the boot's id), and the start of the current run of uninterrupted sweeps."""

    wall: float
    monotonic: float
    boot: str
    grace_since: float


def next_beat(previous: Beat | None, clock: Clock, sweep_every: int) -> tuple[Beat, str | None]:
    """Return the clocks now, and why every family gets a full grace from now on; None if sweeps were uninterrupted.

    A restart, a clock that was set, a host that slept or booted, and a gap of more than 15 minutes and three times
    `sweep_every` (seconds) all mean that heartbeats may have been missed and that ages may be wrong.
    """
    now, monotonic, boot = clock.now(), clock.monotonic(), boot_id()
    why = _interruption(previous, now, monotonic, boot, max(_GAP_SECONDS, 3.0 * sweep_every))
    since = now if why or previous is None else previous.grace_since
    return Beat(now, monotonic, boot, since), why


def _interruption(previous: Beat | None, now: float, monotonic: float, boot: str, longest_gap: float) -> str | None:
    if previous is None:
        return "the reaper starts"
    if previous.boot != boot or monotonic < previous.monotonic:
        return "the host was booted"
    passed = monotonic - previous.monotonic
    drift = (now - previous.wall) - passed
    if abs(drift) > _DRIFT_SECONDS:
        return f"the clock jumped by {drift:.0f} s, or the host slept"
    if passed > longest_gap:
        return f"the reaper did not sweep for {passed:.0f} s"
    return None
