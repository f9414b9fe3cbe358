"""The lines of Hermes that the fleet knows, and in what they differ."""

from collections.abc import Mapping

HERMES_LINES = ("0.15", "0.19")
# The ways in to an agent that a plugin of the same name provides.
CHANNELS = ("sudo_chat", "sudo_voice", "twilio_whatsapp")

# Another version would make Hermes migrate, and back up, the file at every boot.
CONFIG_VERSIONS: Mapping[str, int] = {"0.15": 24, "0.19": 33}
# Lines whose kanban knows no cap per profile; the cap of the whole board takes its place there.
NO_PROFILE_CAP = frozenset({"0.15"})
