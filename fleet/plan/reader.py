"""Reads the JSON of `pulumi preview --json --show-sames` into a plan."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

from fleet import naming
from fleet.plan.model import Change, Plan, Refusal, Step
from fleet.plan.reasons import container_reasons, reasons_of

RUNTIME = "hermes-fleet:index:FamilyRuntime"
CONTAINER = "docker:index/container:Container"
VOLUME = "docker:index/volume:Volume"
_SCAFFOLD = {"pulumi:pulumi:Stack", "hermes-fleet:index:Fleet"}

_NOT_READ = "live state was not read"

# What the program itself refuses where it can read the host, by the words it says it with.
_OWN_REFUSALS = {"family-id": re.compile(r": id changed: "), "hermes-line": re.compile(r": hermesLine: ")}

Raw = Mapping[str, Any]


def read_plan(digest: Raw, *, stack: str) -> Plan:
    """Return what a preview says of the fleet, before any guard has looked at it."""
    steps: Sequence[Raw] = [each for each in digest.get("steps") or [] if "pulumi:providers:" not in each["urn"]]
    runtimes = {_name(each): each for each in steps if _kind(each) == RUNTIME}
    containers = {_name(each): each for each in steps if _kind(each) == CONTAINER}
    waves = _waves(containers)
    volumes = tuple(_step(each) for each in steps if _kind(each) == VOLUME)
    diagnostics = [each for each in digest.get("diagnostics") or [] if each.get("message")]
    errors = _texts(diagnostics, "error")
    notes = _texts(diagnostics, "warning")
    live = not any(_NOT_READ in note for note in notes)
    changes = []
    for name, runtime in runtimes.items():
        change = _change(name, runtime, containers.get(name), waves, live=live)
        if change is not None:
            changes.append(change)
    owned = {RUNTIME, CONTAINER, VOLUME, *_SCAFFOLD}
    present = [each for each in runtimes.values() if each["op"] != "delete"]
    return Plan(
        stack=stack,
        live=live,
        changes=tuple(sorted(changes, key=lambda change: (change.name, change.kind))),
        unchanged=len(present) - sum(change.kind != "removed" for change in changes),
        before=sum(each["op"] != "create" for each in runtimes.values()),
        other=tuple(_step(each) for each in steps if _kind(each) not in owned and each["op"] not in {"same", "read"}),
        images=tuple(sorted({str(_inputs(each, "newState").get("image", "")) for each in present})),
        lines=tuple(_line_changes(runtimes.values())),
        ids=tuple(_id_changes(runtimes)),
        volumes=volumes,
        notes=tuple(note for note in notes if _NOT_READ not in note),  # `live` says it, in words for a reviewer
        errors=errors,
        refusals=tuple(_own_refusals(errors)),
    )


def _change(name: str, runtime: Raw, container: Raw | None, waves: Mapping[str, int], *, live: bool) -> Change | None:
    operation = runtime["op"]
    inputs = _inputs(runtime, "oldState" if operation == "delete" else "newState")
    family_id = naming.family_id_from_name(name)
    base = Change(
        name=str(inputs.get("family", name)),
        id=_id(name),
        kind="added",
        volume=naming.volume_name(family_id) if family_id else "",
    )
    if operation == "delete" or (container is not None and container["op"] == "delete"):
        return replace(base, kind="removed")
    started = bool(container and _inputs(container, "newState").get("start"))
    placed = replace(base, started=started, wave=waves.get(name) if started else None)
    if operation == "create":
        return placed
    reasons = reasons_of(_inputs(runtime, "oldState"), inputs)
    if container is not None and container["op"] not in {"same", "read", "refresh"}:
        return replace(placed, kind="rolled", reasons=reasons or container_reasons(container))
    # Only the host tells whether it runs, and is replaced to stop it. Unread, everyone counts as awake.
    if not live and _suspends(runtime):
        return replace(base, kind="rolled", reasons=reasons)
    return replace(base, kind="noted", reasons=reasons) if operation == "update" else None


def _suspends(runtime: Raw) -> bool:
    old, new = (_inputs(runtime, state).get("state") for state in ("oldState", "newState"))
    return old != new == "suspended"


def _waves(containers: Mapping[str, Raw]) -> dict[str, int]:
    """Return a number for each container: one more than the highest of those that it waits for, from 0.

    Sleepers are numbered too: a container that does not change shows the `start` it was created with, so it does not
    tell whether it sleeps now. Only the numbers of containers that are started are used.
    """
    present = {name: each for name, each in containers.items() if each["op"] != "delete"}
    before = {name: [other for other in _waits_for(each) if other in present] for name, each in present.items()}
    waves: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        waves[name] = 1 + max((waves[other] for other in before[name]), default=-1)
    return waves


def _waits_for(container: Raw) -> list[str]:
    urns = (container.get("newState") or {}).get("dependencies") or []
    return [_urn_name(urn) for urn in urns if f"${CONTAINER}::" in urn]


def _line_changes(runtimes: Iterable[Raw]) -> Iterable[tuple[str, str, str]]:
    for runtime in runtimes:
        old, new = _inputs(runtime, "oldState"), _inputs(runtime, "newState")
        if old.get("hermesLine") and new.get("hermesLine") and old["hermesLine"] != new["hermesLine"]:
            yield str(new.get("family", "")), str(old["hermesLine"]), str(new["hermesLine"])


def _id_changes(runtimes: Mapping[str, Raw]) -> Iterable[tuple[str, str, str]]:
    """Find the families whose name stands for another id than before.

    One that was renamed, so that a new one could have its name, is none of them: nobody's memory changes hands.
    """
    old = {
        str(_inputs(each, "oldState").get("family")): name for name, each in runtimes.items() if each["op"] != "create"
    }
    new = {
        str(_inputs(each, "newState").get("family")): name for name, each in runtimes.items() if each["op"] != "delete"
    }
    for family, now in new.items():
        before = old.get(family, now)
        if before == now:
            continue
        handed_on = before in new.values() and now not in old.values()
        if not handed_on:
            yield family, _id(before), _id(now)


def _id(name: str) -> str:
    return str(naming.family_id_from_name(name) or name)


def _own_refusals(errors: Iterable[str]) -> Iterable[Refusal]:
    for error in errors:
        for line in error.splitlines():
            for guard, pattern in _OWN_REFUSALS.items():
                if pattern.search(line):
                    yield Refusal(guard, line.strip(), final=True)


def _texts(diagnostics: Iterable[Raw], severity: str) -> tuple[str, ...]:
    found = (str(each["message"]).strip() for each in diagnostics if str(each.get("severity", "")) == severity)
    return tuple(dict.fromkeys(text for text in found if text))


def _step(step: Raw) -> Step:
    state = step.get("oldState") or step.get("newState") or {}
    return Step(step["op"], _kind(step).rpartition(":")[2], _name(step), bool(state.get("retainOnDelete")))


def _kind(step: Raw) -> str:
    return str(step["urn"]).split("::")[2].rpartition("$")[2]


def _name(step: Raw) -> str:
    return _urn_name(str(step["urn"]))


def _urn_name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _inputs(step: Raw, state: str) -> Raw:
    found = (step.get(state) or {}).get("inputs")
    return found if isinstance(found, Mapping) else {}
