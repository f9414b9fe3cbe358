"""Guards: what a reviewer has to allow by name."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from fleet.hermes.lines import HERMES_LINES
from fleet.plan.model import Plan, Refusal

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_SHOWN = 5


@dataclass(frozen=True)
class Policy:
    """How strict the guards are: those allowed by name, the share of families that may be removed, and the canaries."""

    allowed: frozenset[str] = frozenset()
    max_removed: float = 0.2
    production: bool = False
    canaries: frozenset[str] = frozenset()


def is_production(stack: str) -> bool:
    """Tell whether a stack's name marks it as production: `prod`, `production`, `prod-eu`."""
    return re.split("[-_.]", stack)[0] in {"prod", "production"}


def guarded(plan: Plan, policy: Policy) -> Plan:
    """Return the plan with what the guards refuse. What `up` itself refuses cannot be allowed."""
    found = [
        Refusal(name, why, allowed=name in policy.allowed)
        for name, guard in GUARDS.items()
        for why in guard(plan, policy)
    ]
    return replace(plan, refusals=(*plan.refusals, *found))


def _volume(plan: Plan, _: Policy) -> Iterator[str]:
    lost = {
        "deleted": [step.name for step in plan.volumes if step.operation == "delete" and not step.retained],
        "replaced": [step.name for step in plan.volumes if "replace" in step.operation],
    }
    for what, names in lost.items():
        if names:
            yield f"{_names(names)} would be {what}: that is a family's memory"


def _removal(plan: Plan, policy: Policy) -> Iterator[str]:
    removed = len(plan.of("removed"))
    if plan.before and removed > policy.max_removed * plan.before:
        yield (
            f"{removed} of {plan.before} families ({removed / plan.before:.0%}) would be removed, "
            f"more than {policy.max_removed:.0%}; is the registry whole? Their data would stay. "
            "A higher share: --max-removed"
        )


def _family_id(plan: Plan, _: Policy) -> Iterator[str]:
    for name, before, after in plan.ids:
        yield (
            f"{name}: its id changes from {before} to {after}; it would go on with an empty memory, or with another "
            "family's. Put the old id back, or give the new family another name"
        )


def _hermes_line(plan: Plan, _: Policy) -> Iterator[str]:
    back = [(name, old, new) for name, old, new in plan.lines if _age(new) < _age(old)]
    if back:
        old, new = back[0][1:]
        names = _names([name for name, *_ in back])
        yield f"{names}: Hermes goes back from {old} to {new}; an agent's database does not go back"


def _image_digest(plan: Plan, policy: Policy) -> Iterator[str]:
    loose = [image for image in plan.images if not _DIGEST.fullmatch(image)]
    if loose and (policy.production or is_production(plan.stack)):
        yield f"{_names(loose)}: no digest in a production stack; the tag may mean another image on the next host"


def _canary(plan: Plan, policy: Policy) -> Iterator[str]:
    rolled = plan.of("rolled")
    started = [change.name for change in rolled if change.started]
    whole = len(rolled) == plan.before - len(plan.of("removed")) and len(started) > 1
    if whole and policy.canaries.isdisjoint(started):
        yield f"all {len(rolled)} families would be rolled without a canary; give one or two canary: true"


def _age(line: str) -> int:
    return HERMES_LINES.index(line) if line in HERMES_LINES else len(HERMES_LINES)


def _names(names: Collection[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


GUARDS: dict[str, Callable[[Plan, Policy], Iterator[str]]] = {
    "volume": _volume,
    "mass-removal": _removal,
    "family-id": _family_id,
    "hermes-line": _hermes_line,
    "image-digest": _image_digest,
    "no-canary": _canary,
}
