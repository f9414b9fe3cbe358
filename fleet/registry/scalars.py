"""Tells what a YAML text without quotes stands for, and refuses those that readers of YAML disagree about."""

import re
from collections.abc import Callable
from functools import lru_cache

import yaml

TEXT_TAG = "tag:yaml.org,2002:str"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
# Numbers to YAML 1.2 that YAML 1.1, and so PyYAML, reads as texts.
_YAML_12 = re.compile(r"[-+]?(?:0o[0-7]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)")
_RESOLVE: Callable[..., str] = yaml.SafeLoader("").resolve


class AmbiguousError(ValueError):
    """A plain text that YAML reads as something else."""


@lru_cache(maxsize=65536)
def plain(text: str) -> str | int | float | bool | None:
    """Return what a text without quotes stands for. Raises AmbiguousError where people and YAML may differ."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    tag = _RESOLVE(yaml.ScalarNode, text, (True, False))
    if tag == TEXT_TAG and not _YAML_12.fullmatch(text):
        return text
    kind = str(tag).rpartition(":")[2]
    meaning = {"bool": "true or false", "timestamp": "a date", "merge": "a merge", "value": "a default value"}
    raise AmbiguousError(f"YAML may read {text} as {meaning.get(kind, 'a number')}; quote it: '{text}'")
