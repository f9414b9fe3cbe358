"""What a resource's properties are, and the check that refuses whatever is not implemented."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Value = Any  # whatever JSON can hold
Properties = dict[str, Any]
Failure = tuple[str, str]

# How the engine writes a value in a preview that only an `up` will know.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Kind(Enum):
    """The shape of a property; the value names it in a message."""

    TEXT = "a string"
    WHOLE = "a whole number"
    FLAG = "true or false"
    LIST = "a list"
    SET = "a list whose order says nothing"
    MAP = "an object of strings"
    OBJECT = "an object"


SHAPES: dict[Kind, type] = {Kind.TEXT: str, Kind.WHOLE: int, Kind.FLAG: bool, Kind.LIST: list, Kind.SET: list}


@dataclass(frozen=True)
class Prop:
    """One property.

    `replaces`: a change makes a new resource. `computed`: left out, it is whatever Docker says. `default`: what the
    check fills in, unless Docker takes an absent value for just that. `opaque`: a set whose change is shown as one.
    `output`: only ever read back. `item` describes the elements of a list or set, `fields` those of an object.
    """

    kind: Kind
    replaces: bool = False
    required: bool = False
    computed: bool = False
    default: Value = None
    pattern: str = ""
    opaque: bool = False
    output: bool = False
    item: "Prop | None" = None
    fields: "Mapping[str, Prop]" = field(default_factory=dict)


Spec = Mapping[str, Prop]
TEXT = Prop(Kind.TEXT)


def has_unknown(value: Value) -> bool:
    """Return whether a value is not known yet, or holds one that is not."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else bool(value == UNKNOWN)


def check(spec: Spec, given: Properties, path: str = "") -> tuple[Properties, list[Failure]]:
    """Return inputs with their defaults, and everything that is wrong with them as (property, reason)."""
    refused = sorted(name for name in given if name not in spec or spec[name].output)
    failures = [(path + name, "the offline docker provider does not implement this property") for name in refused]
    result: Properties = {name: prop.default for name, prop in spec.items() if prop.default}
    for name, prop in spec.items():
        if given.get(name) is not None:
            result[name] = given[name]
            failures += _wrong(prop, path + name, result, name)
        elif prop.required:
            failures.append((path + name, "this property is required"))
    return result, failures


def _wrong(prop: Prop, path: str, holder: Value, key: str | int) -> Iterator[Failure]:
    """Check the value in `holder[key]`, which gets its defaults on the way."""
    value = holder[key]
    if value == UNKNOWN:
        return
    shape: Value = type(value)
    if shape is not SHAPES.get(prop.kind, dict):
        yield path, f"this must be {prop.kind.value}"
    elif prop.pattern and not re.fullmatch(prop.pattern, value):
        yield path, f"this must match {prop.pattern}"
    elif prop.fields:
        holder[key], failures = check(prop.fields, value, f"{path}.")
        yield from failures
    elif prop.item:
        holder[key] = list(value)
        for index in range(len(value)):
            yield from _wrong(prop.item, f"{path}[{index}]", holder[key], index)


def tidy(spec: Spec, inputs: Properties) -> Properties:
    """Return inputs as a state holds them: what is declared only, sets in an order of their own."""
    return {name: _tidy(prop, inputs[name]) for name, prop in spec.items() if inputs.get(name) is not None}


def _tidy(prop: Prop, value: Value) -> Value:
    if isinstance(value, dict) and prop.fields:
        return tidy(prop.fields, value)
    if not isinstance(value, list) or not prop.item:
        return value
    names = sorted(prop.item.fields)
    items = [_tidy(prop.item, each) for each in value]
    if prop.kind is Kind.SET:
        items.sort(key=lambda each: [str(each.get(name, "")) for name in names] if names else [str(each)])
    return items
