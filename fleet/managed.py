"""What the fleet itself writes into every agent, and the registry therefore may not set."""

from fleet.settings import CHANNELS

# Paths in Hermes' config.yaml; all below them is managed too.
MANAGED_KEYS: tuple[str, ...] = (
    "_config_version",
    "model",
    "timezone",
    "toolsets",
    "platform_toolsets",
    "memory.memory_char_limit",
    "memory.user_char_limit",
    "kanban.default_assignee",
    "kanban.max_in_progress_per_profile",
    "plugins.enabled",
    "platforms.api_server",
    *(f"platforms.{channel}" for channel in CHANNELS),
)
