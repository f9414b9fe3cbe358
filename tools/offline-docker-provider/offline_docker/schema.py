"""What a resource's properties are, and the check that refuses whatever is not implemented."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

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


@dataclass(frozen=True)
class Prop:
    """One property.

    `replaces`: a change makes a new resource. `computed`: left out, it is whatever Docker says. `default`: filled in
    by the check, unless it is what Docker takes an absent value for. `opaque`: a set whose change is shown as one.
    `item` describes the elements of a list or set, `fields` those of an object.
    """

    kind: Kind
    replaces: bool = False
    required: bool = False
    computed: bool = False
    default: Any = None
    pattern: str = ""
    opaque: bool = False
    item: "Prop | None" = None
    fields: "Mapping[str, Prop]" = field(default_factory=dict)


Spec = Mapping[str, Prop]
TEXT = Prop(Kind.TEXT)


def has_unknown(value: object) -> bool:
    """Return whether a value is not known yet, or holds one that is not."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else value == UNKNOWN


def check(spec: Spec, news: Properties) -> tuple[Properties, list[Failure]]:
    """Return the inputs with their defaults, and what is wrong as (property, reason)."""
    inputs: Properties = {}
    failures = list(_check_fields(spec, {k: v for k, v in news.items() if v is not None}, "", inputs))
    return inputs, failures


def _check_fields(spec: Spec, given: Properties, path: str, result: Properties) -> Iterator[Failure]:
    for name in sorted(given.keys() - spec.keys() - {"__defaults"}):
        yield path + name, "this property is not implemented by the offline docker provider; use the official plugin"
    for name, prop in spec.items():
        if name in given:
            result[name], failures = _check_value(prop, given[name], path + name)
            yield from failures
        elif prop.required:
            yield path + name, "this property is required"
        elif prop.default:
            result[name] = prop.default


def _check_value(prop: Prop, value: Any, path: str) -> tuple[Any, list[Failure]]:
    if value == UNKNOWN:
        return value, []
    shapes: dict[Kind, type] = {Kind.TEXT: str, Kind.WHOLE: int, Kind.FLAG: bool, Kind.LIST: list, Kind.SET: list}
    if not isinstance(value, shapes.get(prop.kind, dict)) or (prop.kind is Kind.WHOLE and isinstance(value, bool)):
        return value, [(path, f"this must be {prop.kind.value}")]
    if prop.kind is Kind.TEXT and prop.pattern and not re.fullmatch(prop.pattern, value):
        return value, [(path, f"this must match {prop.pattern}")]
    if prop.kind is Kind.OBJECT:
        result: Properties = {}
        return result, list(_check_fields(prop.fields, value, f"{path}.", result))
    if prop.item:
        checked = [_check_value(prop.item, each, f"{path}[{index}]") for index, each in enumerate(value)]
        return [each for each, _ in checked], [failure for _, failures in checked for failure in failures]
    return value, []


def tidy(spec: Spec, inputs: Properties) -> Properties:
    """Return inputs as a state holds them: without the engine's marks, and sets in an order of their own."""
    return {name: tidy_value(prop, inputs[name]) for name, prop in spec.items() if inputs.get(name) is not None}


def tidy_value(prop: Prop, value: Any) -> Any:
    """Return one value as a state holds it."""
    if isinstance(value, dict) and prop.fields:
        return tidy(prop.fields, value)
    if not isinstance(value, list) or not prop.item:
        return value
    item = prop.item
    items = [tidy_value(item, each) for each in value]
    return sorted(items, key=lambda each: _sort_key(item, each)) if prop.kind is Kind.SET else items


def _sort_key(item: Prop, value: Any) -> list[str]:
    return [str(value.get(name, "")) for name in sorted(item.fields)] if isinstance(value, dict) else [str(value)]
