"""The registry of families: `families.yaml` read, checked and added to."""

from fleet.registry.edit import add_family
from fleet.registry.loader import Registry, load_registry, load_text
from fleet.registry.models import Family, Resources, Sleep, Window
from fleet.registry.schema import json_schema

__all__ = [
    "Family",
    "Registry",
    "Resources",
    "Sleep",
    "Window",
    "add_family",
    "json_schema",
    "load_registry",
    "load_text",
]
