"""The clocks of the reaper, injected everywhere, and the watch that notices when time itself was interrupted."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

# Clocks drift apart by less than this between two sweeps unless somebody set one, or the host slept.
_DRIFT_SECONDS = 5.0
_GAP_SECONDS = 900.0


def boot_seconds() -> float:
    """Return the seconds since the host booted, sleep included; nobody can set this clock."""
    return time.clock_gettime(_CLOCK)


@cache
def boot_id() -> str:
    """Return what tells this boot of the host from every other."""
    return _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""


@dataclass(frozen=True)
class Clock:
    """Wall time for what is kept, monotonic time for waiting, boot time for what expires."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    boot: Callable[[], float] = boot_seconds
    sleep: Callable[[float], None] = field(default=time.sleep)
    wait: Callable[[threading.Condition, float | None], object] = field(default=threading.Condition.wait)


@dataclass(frozen=True)
class Beat:
    """What the clocks said when the reaper last looked, and since when it has looked without a break."""

    wall: float
    monotonic: float
    boot: str
    grace_since: float


def longest_gap(sweep_every: int) -> float:
    """Return how long a reaper that sweeps this often may go without a look before it counts as interrupted."""
    return max(_GAP_SECONDS, 3.0 * sweep_every)


def next_beat(previous: Beat | None, clock: Clock, longest_gap: float) -> tuple[Beat, str | None]:
    """Return the clocks now, and why everyone gets a full grace from now on, or None where nothing happened.

    A restart, a clock that was set, a host that slept or was booted, and a gap of more than `longest_gap` seconds
    all mean the same: heartbeats may have been missed, and ages are not what they seem.
    """
    now, monotonic, boot = clock.now(), clock.monotonic(), boot_id()
    why = _broken(previous, now, monotonic, boot, longest_gap)
    since = now if why or previous is None else previous.grace_since
    return Beat(now, monotonic, boot, since), why


def _broken(previous: Beat | None, now: float, monotonic: float, boot: str, longest_gap: float) -> str | None:
    if previous is None:
        return "the reaper starts"
    if previous.boot != boot or monotonic < previous.monotonic:
        return "the host was booted"
    passed = monotonic - previous.monotonic
    drift = (now - previous.wall) - passed
    if abs(drift) > _DRIFT_SECONDS:
        return f"the clock jumped by {drift:.0f} s, or the host slept"
    if passed > longest_gap:
        return f"the reaper did not look for {passed:.0f} s"
    return None
