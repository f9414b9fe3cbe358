"""The registry of families: `families.yaml` read, checked and added to."""

from fleet.registry.edit import add_family
from fleet.registry.loader import Registry, load_registry, load_text
from fleet.registry.models import (
    DAYS,
    PLUGIN_CHANNELS,
    Account,
    Channels,
    Family,
    Kanban,
    Member,
    Memory,
    Resources,
    Sleep,
    TwilioWhatsapp,
    Window,
)
from fleet.registry.schema import json_schema

__all__ = [
    "DAYS",
    "PLUGIN_CHANNELS",
    "Account",
    "Channels",
    "Family",
    "Kanban",
    "Member",
    "Memory",
    "Registry",
    "Resources",
    "Sleep",
    "TwilioWhatsapp",
    "Window",
    "add_family",
    "json_schema",
    "load_registry",
    "load_text",
]
