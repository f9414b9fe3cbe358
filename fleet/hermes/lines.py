"""The lines of Hermes releases that the fleet supports, what differs between them, and the channels of all."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HermesLine:
    """What the fleet renders differently for one line of Hermes."""

    # `_config_version` of config.yaml; with another one Hermes migrates, and backs up, the file at every boot.
    config_version: int
    # Whether kanban knows a limit per profile; else the limit of the whole board takes its place.
    caps_profiles: bool


# Oldest first: a family's database cannot go back to an older line.
LINES: Mapping[str, HermesLine] = {
    "0.15": HermesLine(config_version=24, caps_profiles=False),
    "0.19": HermesLine(config_version=33, caps_profiles=True),
}
HERMES_LINES = tuple(LINES)

# The channels that a plugin of the same name provides.
CHANNELS = ("sudo_chat", "sudo_voice", "twilio_whatsapp")
