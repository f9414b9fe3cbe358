"""Reads the JSON of `pulumi preview --json --show-sames` into a plan."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

from fleet import naming
from fleet.plan.model import Change, Plan, Reason, Refusal, Step

RUNTIME = "hermes-fleet:index:FamilyRuntime"
CONTAINER = "docker:index/container:Container"
VOLUME = "docker:index/volume:Volume"
_SCAFFOLD = {"pulumi:pulumi:Stack", "hermes-fleet:index:Fleet"}

_NOT_READ = "live state was not read"

# What the program itself refuses where it can read the host, by the words of its error.
_OWN_REFUSALS = {"family-id": ": id changed: ", "hermes-line": ": hermesLine: "}

# The inputs of a family's component under the names that a reviewer knows, in the order in which they are shown. Others
# come last, under their own names.
_LABELS = {
    "credentials": "credentials",
    "image": "image",
    "hermesLine": "Hermes line",
    "limits": "limits",
    "env": ".env entries",
    "gateway": "gateway",
    "plugins": "plugins",
    "state": "state",
    "family": "name",
    "config": "config",
    "identity": "identity",
}
# The lines of the config show it.
_SHOWN_BY_ANOTHER = {"toolsets"}

Raw = Mapping[str, Any]


def read_plan(digest: Raw, *, stack: str) -> Plan:
    """Return what a preview says of the fleet, before the guards."""
    steps: Sequence[Raw] = [each for each in digest.get("steps") or [] if "pulumi:providers:" not in each["urn"]]
    runtimes, containers = resources(digest, RUNTIME), resources(digest, CONTAINER)
    errors, notes = messages(digest, "error"), messages(digest, "warning")
    live = not any(_NOT_READ in note for note in notes)
    waves = _waves(containers)
    changes = [
        change
        for name, each in runtimes.items()
        if (change := _change(name, each, containers.get(name, {"op": "same"}), waves, live=live))
    ]
    owned = {RUNTIME, CONTAINER, VOLUME, *_SCAFFOLD}
    present = [each for each in runtimes.values() if each["op"] != "delete"]
    return Plan(
        stack=stack,
        live=live,
        changes=tuple(sorted(changes, key=lambda change: (change.name, change.kind))),
        unchanged=len(present) - sum(change.kind != "removed" for change in changes),
        before=sum(each["op"] != "create" for each in runtimes.values()),
        other=tuple(_step(each) for each in steps if _kind(each) not in owned and each["op"] not in {"same", "read"}),
        images=tuple(sorted({str(inputs_of(each, "newState").get("image", "")) for each in present})),
        lines=tuple(_line_changes(runtimes.values())),
        ids=tuple(_id_changes(runtimes)),
        volumes=tuple(_step(each) for each in steps if _kind(each) == VOLUME),
        notes=tuple(note for note in notes if _NOT_READ not in note),  # `live` says it
        errors=errors,
        refusals=tuple(_own_refusals(errors)),
    )


def resources(digest: Raw, kind: str) -> dict[str, Raw]:
    """Return the steps of a preview for one kind of resource, by name."""
    return {_name(each["urn"]): each for each in digest.get("steps") or [] if _kind(each) == kind}


def messages(digest: Raw, severity: str) -> tuple[str, ...]:
    """Return what a preview says of one severity, `error` or `warning`, each message once."""
    diagnostics = digest.get("diagnostics") or []
    found = (str(each.get("message") or "").strip() for each in diagnostics if each.get("severity") == severity)
    return tuple(dict.fromkeys(filter(None, found)))


def inputs_of(step: Raw, state: str) -> Raw:
    """Return the inputs of a resource in its `oldState` or `newState`."""
    return (step.get(state) or {}).get("inputs") or {}


def _change(name: str, runtime: Raw, container: Raw, waves: Mapping[str, int], *, live: bool) -> Change | None:
    operation = runtime["op"]
    inputs = inputs_of(runtime, "oldState" if operation == "delete" else "newState")
    base = Change(str(inputs.get("family", name)), _id(name), "added", volume=f"{name}-data")
    if "delete" in {operation, container["op"]}:
        return replace(base, kind="removed")
    started = bool(inputs_of(container, "newState").get("start"))
    placed = replace(base, started=started, wave=waves.get(name) if started else None)
    if operation == "create":
        return placed
    old = inputs_of(runtime, "oldState")
    reasons = _reasons(old, inputs)
    if container["op"] not in {"same", "read", "refresh"}:
        return replace(placed, kind="rolled", reasons=reasons or _container_reasons(container))
    # Whether the container runs, and is replaced to stop it, only the host tells. Unread, all families count as awake.
    if not live and old.get("state") != inputs.get("state") == "suspended":
        return replace(base, kind="rolled", reasons=reasons)
    return replace(base, kind="noted", reasons=reasons) if operation == "update" else None


def _reasons(old: Raw, new: Raw) -> tuple[Reason, ...]:
    """Return what differs between two sets of a component's inputs. Credentials are named, never shown."""
    others = (old.keys() | new.keys()) - _LABELS.keys() - _SHOWN_BY_ANOTHER
    return tuple(
        Reason(_LABELS.get(key, key), "" if key == "credentials" else _detail(old.get(key), new.get(key)))
        for key in (*_LABELS, *sorted(others))
        if old.get(key) != new.get(key)
    )


def _container_reasons(step: Raw) -> tuple[Reason, ...]:
    """Return why a container is replaced although its component stays, from the engine's own reasons."""
    if step["op"] == "create":
        return (Reason("its container is not in the state any more"),)
    keys = sorted({str(key) for key in [*(step.get("replaceReasons") or []), *(step.get("diffReasons") or [])]})
    if (step.get("oldState") or {}).get("initErrors"):
        return (Reason("it did not pass its gate at the last up"),)
    if "containerReadRefreshTimeoutMilliseconds" in keys:
        return (Reason("its container is gone from the host, or runs although the family is suspended"),)
    if keys == ["uploads"]:
        return (Reason("the files it boots from"),)
    return (Reason("inputs of its container", ", ".join(keys)) if keys else Reason("its container"),)


def _detail(old: object, new: object) -> str:
    """Return both values, or of multi-line strings the lines that differ."""
    if any(isinstance(value, str) and "\n" in value for value in (old, new)):
        diff = difflib.unified_diff(str(old or "").splitlines(), str(new or "").splitlines(), lineterm="", n=0)
        return "\n".join(line for line in diff if not line.startswith(("---", "+++", "@@")))
    return f"{_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _waves(containers: Mapping[str, Raw]) -> dict[str, int]:
    """Return the wave of each container, from 0: one more than the highest of those that it waits for.

    Sleepers are numbered too: an unchanged container shows the `start` it was created with, not whether it sleeps now.
    Only the numbers of containers that are started are used.
    """
    present = {name: each for name, each in containers.items() if each["op"] != "delete"}
    before = {name: [other for other in _waits_for(each) if other in present] for name, each in present.items()}
    waves: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        waves[name] = 1 + max((waves[other] for other in before[name]), default=-1)
    return waves


def _waits_for(container: Raw) -> list[str]:
    urns = (container.get("newState") or {}).get("dependencies") or []
    return [_name(urn) for urn in urns if f"${CONTAINER}::" in urn]


def _line_changes(runtimes: Iterable[Raw]) -> Iterator[tuple[str, str, str]]:
    for runtime in runtimes:
        new = inputs_of(runtime, "newState")
        before, after = inputs_of(runtime, "oldState").get("hermesLine"), new.get("hermesLine")
        if before and after and before != after:
            yield str(new.get("family", "")), str(before), str(after)


def _id_changes(runtimes: Mapping[str, Raw]) -> Iterator[tuple[str, str, str]]:
    """Yield the families whose name stands for another id than before.

    A family that was renamed to free its name for a new one is not among them: no data changes hands.
    """
    old, new = _names(runtimes, "oldState", "create"), _names(runtimes, "newState", "delete")
    for family, now in new.items():
        before = old.get(family, now)
        handed_on = before in new.values() and now not in old.values()
        if before != now and not handed_on:
            yield family, _id(before), _id(now)


def _names(runtimes: Mapping[str, Raw], state: str, without: str) -> dict[str, str]:
    return {str(inputs_of(x, state).get("family")): name for name, x in runtimes.items() if x["op"] != without}


def _id(name: str) -> str:
    return str(naming.family_id_from_name(name) or name)


def _own_refusals(errors: Iterable[str]) -> Iterator[Refusal]:
    for line in "\n".join(errors).splitlines():
        yield from (Refusal(guard, line.strip(), final=True) for guard, words in _OWN_REFUSALS.items() if words in line)


def _step(step: Raw) -> Step:
    state = step.get("oldState") or step.get("newState") or {}
    return Step(step["op"], _kind(step).rpartition(":")[2], _name(step["urn"]), bool(state.get("retainOnDelete")))


def _kind(step: Raw) -> str:
    return str(step["urn"]).split("::")[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]
