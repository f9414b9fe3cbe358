"""The registry of families: `families.yaml` read, checked and added to."""

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
    "load_registry",
    "load_text",
]
