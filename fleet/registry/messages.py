"""Puts what pydantic found into words that say how to mend it."""

import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from fleet.registry.fields import suggestion
from fleet.registry.models import Family, RegistryFile, field_order
from fleet.registry.reader import Location, shown

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping of names and values",
    "mapping_type": "a mapping of names and values",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "string_type": "a text",
    "tuple_type": "a list",
}
_BOUNDS = {"greater_than_equal": ("less than", "ge"), "less_than_equal": ("more than", "le")}
_MISSING: Mapping[Location, str] = {
    ("families", "id"): "; make one with: python3 -c 'import uuid; print(uuid.uuid4())'",
    ("families", "name"): "; a short name of a-z, 0-9 and -",
    ("families",): "; write families: [] for none",
}
# Wave 0 has no limit of size, and wakes whoever sleeps.
_MEANT_FOR_FEW = {"canary": "; set it on the one or few families that are to go first in a roll"}
_BARE = re.compile(r"[A-Za-z0-9_.-]+")
_LABEL_LENGTH = 40


def path_text(location: Location, slug: object = None) -> str:
    """Return a location as messages name it: `families[3] (smith).sleep.keep_warm[0]`."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step)}]"
        if isinstance(step, int) and text == f"families[{step}]" and isinstance(slug, str) and _short(slug):
            text += f" ({slug})"
    return text


def _short(slug: str) -> bool:
    return slug.isprintable() and 0 < len(slug) <= _LABEL_LENGTH


def what(error: ErrorDetails, location: Location) -> str:
    """Return one of pydantic's findings in our words; `location` counts from the top of the file."""
    kind, found = error["type"], error["input"]
    if kind == "missing":
        return f"is missing{_MISSING.get(location[::2], '')}"
    if kind == "extra_forbidden":
        return _unknown_key(location)
    if kind == "value_error":
        value = "" if isinstance(found, dict | list) else f"{shown(found)} "
        return f"{value}{error['ctx']['error']}"
    if found is None:
        return "is empty; give it a value or remove the key"
    return f"{shown(found)} {_mismatch(error, location)}"


def _mismatch(error: ErrorDetails, location: Location) -> str:
    """Return what is wrong with a value, to be read behind it."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "literal_error":
        return _not_a_choice(str(context["expected"]), found)
    if kind == "model_type":
        return f"is not a mapping (keys: {', '.join(_keys(location))})"
    if kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        return f"is {word} {context[bound]}"
    if kind == "string_type" and isinstance(found, bool | int | float):
        return f"is not a text to YAML; quote it: '{shown(found)}'"
    if kind in _EXPECTED:
        return f"is not {_EXPECTED[kind]}"
    return f"will not do: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _unknown_key(location: Location) -> str:
    if location[:-1] == ("defaults",) and location[-1] in Family.model_fields:
        return f"belongs to each family, not to the defaults{_MEANT_FOR_FEW.get(location[-1], '')}"
    known = _keys(location[:-1])
    near = suggestion(str(location[-1]), known)
    return f"is not a key of the registry{near or '; known here: ' + ', '.join(known)}"


def _not_a_choice(expected: str, found: object) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    near = suggestion(found, choices) if isinstance(found, str) else ""
    return f"is not {expected}{near}"


def _keys(location: Location) -> list[str]:
    """Return the keys of the mapping at a location."""
    here: Any = RegistryFile
    for step in location:
        if isinstance(step, int):
            continue
        fields = {known.alias or name: known for name, known in here.model_fields.items()}
        if step not in fields:
            return []
        here = _model(fields[step].annotation)
    return field_order(here) if here else []


def _model(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type annotation
    """Return the model inside `Model | None`, `tuple[Model, ...]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _model(part))), None)
