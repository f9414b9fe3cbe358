"""Properties: their description, the check that rejects what is not implemented, and their differences.

The rules of changes were measured on the official provider. Tests that run where both are present compare each.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = Any  # whatever JSON can hold
Properties = dict[str, Any]
Finding = tuple[str, str]  # a path, and what is wrong with it or becomes of it

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # how a preview writes what only an `up` will know
ADD, DELETE, UPDATE = "ADD", "DELETE", "UPDATE"


@dataclass(frozen=True)
class Prop:
    """One property. `kind` is its type: a `set` is a list without order, a `dict` has `fields` or any strings.

    `replaces`: a change makes a new resource. `computed`: Docker chooses it where it is left out. `default`: what the
    check fills in, unless Docker takes an absent value for just that. `opaque`: a set whose change is shown as one.
    `output`: never declared. `item` describes the elements of a list or set.
    """

    kind: type
    replaces: bool = False
    required: bool = False
    computed: bool = False
    opaque: bool = False
    output: bool = False
    default: Value = None
    pattern: str = ""
    item: "Prop | None" = None
    fields: "Mapping[str, Prop]" = field(default_factory=dict)


Spec = Mapping[str, Prop]
TEXT, NEEDED = Prop(str), Prop(str, required=True)
NAME = Prop(str, required=True, replaces=True)


def check(spec: Spec, given: Properties, path: str = "") -> tuple[Properties, list[Finding]]:
    """Return inputs with their defaults, and all failures as (property, reason)."""
    inputs: Properties = {name: prop.default for name, prop in spec.items() if prop.default}
    failures = [(path + name, "this is required") for name, prop in spec.items() if prop.required and name not in given]
    for name, value in given.items():
        if name in spec and not spec[name].output:
            inputs[name], wrong = _check_value(spec[name], value, path + name)
            failures += wrong
        else:
            failures.append((path + name, "the offline docker provider does not implement this property"))
    return inputs, failures


def _check_value(prop: Prop, value: Value, path: str) -> tuple[Value, list[Finding]]:
    shape: Value = list if prop.kind is set else prop.kind
    if value == UNKNOWN:
        return value, []
    if type(value) is not shape:
        return value, [(path, f"this must be of the type {shape.__name__}")]
    if prop.pattern and not re.fullmatch(prop.pattern, str(value)):
        return value, [(path, f"this must match {prop.pattern}")]
    if prop.fields:
        return check(prop.fields, value, f"{path}.")
    if prop.item:
        checked = [_check_value(prop.item, each, f"{path}[{index}]") for index, each in enumerate(value)]
        return [each for each, _ in checked], [failure for _, failures in checked for failure in failures]
    return value, []


def diff(spec: Spec, old: Properties, new: Properties, ignore: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Return the properties that differ between a state and inputs, each with its changes as path to kind."""
    changes: dict[str, dict[str, str]] = {}
    for name, prop in sorted(spec.items()):
        for path, kind in _compare(prop, name, old.get(name), new.get(name)):
            if not any(path == skip or path.startswith((f"{skip}.", f"{skip}[")) for skip in ignore):
                changes.setdefault(name, {})[path] = f"{kind}_REPLACE" if prop.replaces else kind
    return changes


def _compare(prop: Prop, path: str, old: Value, new: Value) -> Iterator[Finding]:
    objects = prop.item is not None and bool(prop.item.fields)
    if prop.computed and (new is None or (prop.kind is set and (new == UNKNOWN or (objects and not new)))):
        # A container whose start failed was never read back: what only Docker knows is missing in its state.
        if old is None and prop.kind is list:
            yield path, ADD
    elif new == UNKNOWN or (prop.item and not objects and UNKNOWN in (new or [])):
        yield path, ADD if old is None or old == [] else UPDATE
    elif prop.kind in {str, int, bool}:
        old, new = (prop.default if each is None else each for each in (old, new))
        if (old or new) and old != new:
            yield path, ADD if old is None else DELETE if new is None else UPDATE
    elif prop.kind is dict and not prop.fields:
        yield from _fields(dict.fromkeys([*(old or {}), *(new or {})], TEXT), path, old or {}, new or {})
    elif bool(old) != bool(new):
        yield path, ADD if new else DELETE
    elif old:
        yield from _fields(prop.fields, path, old, new) if prop.fields else _items(prop, path, old, new)


def _fields(fields: Spec, path: str, old: Properties, new: Properties) -> Iterator[Finding]:
    for key, prop in sorted(fields.items()):
        step = f".{key}" if re.fullmatch(r"[A-Za-z_$][\w$]*", key) else f'["{key}"]'
        yield from _compare(prop, path + step, old.get(key), new.get(key))


def _items(prop: Prop, path: str, old: list[Value], new: list[Value]) -> Iterator[Finding]:
    item, gone, come = prop.item or TEXT, dict(enumerate(old)), dict(enumerate(new))
    if prop.kind is set:
        # Elements count by value; those that only one side has are then paired by their places, the old ones sorted.
        old = sorted(old, key=lambda each: [str(each.get(name, "")) for name in sorted(item.fields)] or each)
        gone = {i: each for i, each in enumerate(old) if all(any(_compare(item, "", each, other)) for other in new)}
        come = {i: each for i, each in come.items() if all(any(_compare(item, "", other, each)) for other in old)}
    if prop.opaque and come:
        yield path, UPDATE
        return
    for index in sorted({*gone, *come}):
        if index in gone and index in come:
            yield from _compare(item, f"{path}[{index}]", gone[index], come[index])
        else:
            yield f"{path}[{index}]", DELETE if index in gone else ADD
