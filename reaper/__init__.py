"""The reaper: stops idle families and wakes them on request. These are the calls that a service makes.

Each call reads the settings as the command line does, from the environment or `.state/reaper.env` below the current
directory, unless a context is given. All calls of a process with the same settings share the registry, the store and
the connections to Docker.
"""

import os
import threading
from pathlib import Path

from reaper.context import Context, make_context
from reaper.restart import Restarted, restart_waves
from reaper.settings import ReaperSettings, load_settings
from reaper.sweep.report import Report
from reaper.sweep.sweeper import Sweeper
from reaper.wake.runtime import NotProvisionedError, Runtime, SuspendedError, TimedOutError, UnknownError, WakeError
from reaper.wake.waker import Waker

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

_shared: dict[tuple[ReaperSettings, bool], Context] = {}
_sharing = threading.Lock()


def ensure_runtime(family: str, *, context: Context | None = None) -> Runtime:
    """Return the agent of a family (name or UUID) once it answers `/health`; start it if it sleeps.

    Safe to call from many threads and processes at once: the agent is started once. Raises UnknownError,
    SuspendedError, NotProvisionedError, TimedOutError, and FleetError if the Docker daemon does not answer.
    """
    context = context or _context()
    found = context.families.find(family)
    if found is None:
        raise UnknownError(f"{family!r} is not in {context.settings.registry}")
    return Waker(context).ensure(found)


def evict_idle(*, dry_run: bool = False, context: Context | None = None) -> Report:
    """Sweep once: stop idle families, start families with fresh heartbeats or a job that is due.

    A family is stopped only after sweeps without a break for its `idle_after`: call this at least every 15 minutes, or
    run `hermes-fleet reaper run`.
    """
    context = context or _context(dry_run=dry_run)
    waker = Waker(context)
    report = Sweeper(context, waker, dry_run=dry_run).sweep()
    waker.wait()
    return report


def restart_all_runtimes(*, context: Context | None = None) -> list[Restarted]:
    """Restart every awake family in waves, each gated by health. New credentials need `pulumi up` instead."""
    return restart_waves(context or _context())


def _context(*, dry_run: bool = False) -> Context:
    """Return the context of the current settings, made once per process."""
    settings = load_settings(Path.cwd())
    with _sharing:
        if (settings, dry_run) not in _shared:
            _shared[settings, dry_run] = make_context(Path.cwd(), dry_run=dry_run, settings=settings)
        return _shared[settings, dry_run]


def _close_all() -> None:
    for context in list(_shared.values()):
        context.close()


def _in_child() -> None:
    """Start over: a lock that another thread held at the fork is never released."""
    global _sharing  # noqa: PLW0603 - the child's own
    _sharing = threading.Lock()
    _shared.clear()


# A child must not inherit an open SQLite file; both processes open it again when they need it.
# See https://www.sqlite.org/howtocorrupt.html, section 2.6.
os.register_at_fork(before=_close_all, after_in_child=_in_child)
