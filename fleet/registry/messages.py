"""Words for pydantic's errors, shared by the registry, the stack's config and the reaper's settings.

`where: what is wrong; fix: command`: this module says what is wrong, its callers add the place and the command.
"""

import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fleet.errors import FleetError, Problem
from fleet.registry.fields import suggestion
from fleet.registry.models import Own, RegistryFile
from fleet.registry.reader import Location, shown

# What is wrong, by the type of pydantic's error, with the error's context.
_MISMATCHES = {
    "bool_type": "is not true or false",
    "dict_type": "is not a mapping of names and values",
    "mapping_type": "is not a mapping of names and values",
    "float_type": "is not a number",
    "int_from_float": "is not an integer",
    "int_type": "is not an integer",
    "string_type": "is not a string",
    "tuple_type": "is not a list",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
}
_MISSING: Mapping[Location, str] = {
    ("families", "id"): "; make one with: python3 -c 'import uuid; print(uuid.uuid4())'",
    ("families", "name"): "; a short name of a-z, 0-9 and -",
    ("families",): "; write families: [] for none",
}
# The canary wave has no size limit and starts sleeping families too.
_MEANT_FOR_FEW = {"canary": "; set it on the one or few families that go first in a roll"}
_BARE = re.compile(r"[A-Za-z0-9_.-]+")
_LABEL_LENGTH = 40


T = TypeVar("T")


def validated(
    model: type[T], data: object, translate: Callable[[ErrorDetails], Problem], others: Sequence[Problem] = ()
) -> T:
    """Return the input of a pydantic dataclass, which is named by alias, as one.

    Raises FleetError with every problem that pydantic finds, translated, and the `others`. It holds no input.
    """
    problems: list[Problem] = []
    try:
        found = TypeAdapter(model).validate_python(data, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [translate(detail) for detail in error.errors(include_url=False)]
    if problems or others:
        raise FleetError([*problems, *others])
    return found


def path_text(location: Location, slug: object = None) -> str:
    """Return a location as messages name it: `families[3] (smith).sleep.keep_warm[0]`."""
    text = ""
    label = slug if isinstance(slug, str) and slug.isprintable() and len(slug) <= _LABEL_LENGTH else ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step)}]"
        if text == f"families[{step}]" and label:
            text += f" ({label})"
    return text


def what(error: ErrorDetails, location: Location, root: type = RegistryFile, *, hidden: bool = False) -> str:
    """Return what is wrong, in the words of our messages.

    `location` starts at the model `root`, a pydantic model or dataclass. With `hidden`, the value is not repeated.
    """
    kind, found = error["type"], error["input"]
    if kind == "missing":
        return f"is missing{_MISSING.get(location[::2], '')}"
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return _unknown_key(location, root)
    value = "" if hidden else f"{shown(found)} "
    if kind == "value_error":
        return f"{'' if isinstance(found, dict | list) else value}{error['ctx']['error']}"
    if found is None:
        return "is empty; give it a value or remove the key"
    if kind == "string_type" and isinstance(found, bool | int | float) and not hidden:
        return f"{value}is not a string to YAML; quote it: '{shown(found)}'"
    return f"{value}{_mismatch(error, location, root)}"


def _mismatch(error: ErrorDetails, location: Location, root: type) -> str:
    """Return what is wrong with a value, as the words after it."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "literal_error":
        expected = str(context["expected"])
        choices = tuple(re.findall(r"'([^']*)'", expected))
        return f"is not {expected}{suggestion(found, choices) if isinstance(found, str) else ''}"
    if kind in {"model_type", "dataclass_type"}:
        return f"is not a mapping (keys: {', '.join(known_keys(location, root))})"
    if kind in _MISMATCHES:
        return _MISMATCHES[kind].format(**context)
    return f"is invalid: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _unknown_key(location: Location, root: type) -> str:
    if location[:-1] == ("defaults",) and location[-1] in Own.model_fields:
        return f"belongs to each family, not to the defaults{_MEANT_FOR_FEW.get(location[-1], '')}"
    known = known_keys(location[:-1], root)
    near = suggestion(str(location[-1]), known)
    if root is RegistryFile:
        return f"is not a key of the registry{near or '; known here: ' + ', '.join(known)}"
    return f"is not a key of {location[-2]} ({', '.join(known)}){near}"


def known_keys(location: Location, root: type) -> tuple[str, ...]:
    """Return the keys of the mapping at a location below `root`; none where its keys are free."""
    here: type | None = root
    for step in location:
        if isinstance(step, str):
            field = _fields(here).get(step)
            here = _model(field.annotation) if field else None
    return tuple(_fields(here))


def _fields(model: type | None) -> dict[str, FieldInfo]:
    """Return the fields of a pydantic model or dataclass under the names that its input has for them."""
    found: dict[str, FieldInfo] = getattr(model, "__pydantic_fields__", {})
    return {field.alias or name: field for name, field in found.items()}


def _model(annotation: Any) -> type | None:  # noqa: ANN401 - any type annotation
    """Return the model inside `Model | None`, `tuple[Model, ...]` and the like."""
    if isinstance(annotation, type) and hasattr(annotation, "__pydantic_fields__"):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _model(part))), None)
