"""Lists the containers of an old deployment, `hermes-user-usr_*`, and removes them on request. Volumes are kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from fleet import naming
from fleet.errors import FleetError
from reaper.context import Context
from reaper.engine import ContainerDetails, GoneError
from reaper.policy.facts import RUNNING
from reaper.policy.rules import span

# Docker removes these only by force, which leaves them no time to drain.
_TO_STOP = frozenset({RUNNING, "restarting", "paused"})


@dataclass(frozen=True)
class Orphan:
    """One container of the old deployment, and what was or would be done."""

    name: str
    id: str
    state: str
    age: str
    done: str
    failed: bool = False


def orphans(context: Context, *, remove: bool) -> Iterator[Orphan]:
    """Yield every orphan; with `remove`, stop each with grace and remove it by ID, without its volumes.

    Skips those whose time of creation cannot be read. One failure does not stop the rest. Raises FleetError if the
    daemon does not answer the listing.
    """
    for name, seen in sorted(context.engine.list().items()):
        if not naming.is_orphan(name):
            continue
        try:
            yield _orphan(context, context.engine.inspect(seen.id), remove=remove)
        except GoneError:
            yield Orphan(name, seen.id, "gone", "", "already gone")
        except FleetError as error:
            yield Orphan(name, seen.id, seen.state, "", f"failed: {error}", failed=True)


def _orphan(context: Context, info: ContainerDetails, *, remove: bool) -> Orphan:
    if not naming.is_orphan(info.name) or naming.LABEL_STACK in info.labels:
        return Orphan(info.name, info.id, info.state, "", "left alone: it has a stack's label or another name now")
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
