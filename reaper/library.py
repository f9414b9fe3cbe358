"""The reaper for programs: the three calls that a service makes.

They read the settings like the command line does, from the environment or `.state/reaper.env` below the current
directory, unless a context is given.
"""

from pathlib import Path

from reaper.context import Context, make_context
from reaper.report import Report
from reaper.restart import Restarted, restart_waves
from reaper.runtime import Runtime, UnknownError
from reaper.sweep import Sweeper
from reaper.wake import Waker


def ensure_runtime(family: str, *, context: Context | None = None) -> Runtime:
    """Return the agent of a family (name or UUID) once it answers `/health`, started if it sleeps.

    Safe to call from many threads and processes at a time: the agent is started once. Raises UnknownError,
    SuspendedError, NotProvisionedError, TimedOutError, and FleetError where the Docker daemon does not answer.
    """
    context = context or make_context(Path.cwd())
    found = context.families.find(family)
    if found is None:
        raise UnknownError(f"{family!r} is not in {context.settings.registry}")
    return Waker(context).ensure(found)


def evict_idle(*, dry_run: bool = False, context: Context | None = None) -> Report:
    """Look at every family once; stop those that nobody uses, start those that are asked for.

    A family is stopped only if the reaper has looked without a break for the family's `idle_after`: call this at least
    every 15 minutes, or let `python -m reaper run` do it.
    """
    context = context or make_context(Path.cwd(), dry_run=dry_run)
    waker = Waker(context)
    report = Sweeper(context, waker, dry_run=dry_run).sweep()
    waker.wait()
    return report


def restart_all_runtimes(*, context: Context | None = None) -> list[Restarted]:
    """Restart every awake family in waves with a health probe. New credentials need `pulumi up` instead."""
    return restart_waves(context or make_context(Path.cwd()))
