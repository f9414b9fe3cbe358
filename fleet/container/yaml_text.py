"""Writes YAML that reads back unchanged and is the same text on every machine.

PyYAML's writer takes milliseconds for each family and picks styles that lose some characters. Here mappings are blocks,
everything below a list is on one line, and each scalar is read back once to check it.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str) -> Any:  # noqa: ANN401 - any YAML
    """Return the parsed YAML, read with the loader that Hermes uses."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, in C where PyYAML was built with it


def block(value: Mapping[str, Any], indent: str = "") -> str:
    """Return a mapping as lines of YAML. Raises ValueError for a value that YAML cannot hold."""
    lines = []
    for key, each in value.items():
        if isinstance(each, Mapping) and each:
            lines.append(f"{indent}{scalar(key)}:\n{block(each, indent + '  ')}")
        else:
            lines.append(f"{indent}{scalar(key)}: {flow(each)}\n")
    return "".join(lines)


def flow(value: object) -> str:
    """Return any value as YAML on one line. Raises ValueError for one that YAML cannot hold."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


@lru_cache(maxsize=4096, typed=True)  # typed: True, 1 and 1.0 are equal, but not the same YAML
def scalar(value: Any) -> str:  # noqa: ANN401 - any scalar
    """Return a scalar as YAML, plain where that is safe and otherwise in double quotes."""
    is_text = type(value) is str
    if is_text and _PLAIN.fullmatch(value) and parse(value) == value:
        return str(value)
    dumped = yaml.safe_dump(value, default_style='"' if is_text else None, allow_unicode=True, width=sys.maxsize)
    text = str(dumped).removesuffix("\n").removesuffix("\n...")
    with suppress(yaml.YAMLError, UnicodeError):
        if "\n" not in text and parse(text) == value:
            return text
    raise ValueError("holds a value that does not survive being YAML")
