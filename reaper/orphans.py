"""Finds what an old deployment left on the host, `hermes-user-usr_*`, and removes it when told to. Volumes stay."""

from collections.abc import Iterator
from dataclasses import dataclass

from fleet import naming
from fleet.errors import FleetError
from reaper.context import Context
from reaper.engine import ContainerDetails, GoneError
from reaper.policy.facts import RUNNING
from reaper.policy.rules import span

# Docker does not remove these without force, which would leave no time to drain.
_TO_STOP = frozenset({RUNNING, "restarting", "paused"})


@dataclass(frozen=True)
class Orphan:
    """One container of the old deployment, and what was or would be done with it."""

    name: str
    id: str
    state: str
    age: str
    done: str
    failed: bool = False


def orphans(context: Context, *, remove: bool) -> Iterator[Orphan]:
    """Yield every orphan; with `remove` each is stopped with grace and removed by ID, its volumes kept.

    One without a time of creation that can be read is left alone, and one that fails does not stop the rest. Raises
    FleetError where the daemon does not answer at all.
    """
    for name, seen in sorted(context.engine.list().items()):
        if not naming.is_orphan(name):
            continue
        try:
            yield _orphan(context, context.engine.inspect(seen.id), remove=remove)
        except GoneError:
            yield Orphan(name, seen.id, "gone", "", "gone already")
        except FleetError as error:
            yield Orphan(name, seen.id, seen.state, "", f"failed: {error}", failed=True)


def _orphan(context: Context, info: ContainerDetails, *, remove: bool) -> Orphan:
    if not naming.is_orphan(info.name) or naming.LABEL_STACK in info.labels:
        return Orphan(info.name, info.id, info.state, "", "left alone: it carries a stack's label or another name now")
    now = context.clock.now()
    if not info.created or info.created > now:
        return Orphan(info.name, info.id, info.state, "", "left alone: its time of creation cannot be read")
    age = span(now - info.created)
    if not remove:
        return Orphan(info.name, info.id, info.state, age, "would be removed with --yes")
    if info.state in _TO_STOP:
        context.engine.stop(info.id, context.settings.stop_grace)
    context.engine.remove(info.id)
    return Orphan(info.name, info.id, info.state, age, "removed; its volumes are kept")
