"""The Hermes settings that the fleet owns: neither the registry nor the stack's config may set them."""

from fleet.hermes.lines import CHANNELS

# Paths in Hermes' config.yaml, with everything below them.
OWNED_CONFIG_KEYS: tuple[str, ...] = (
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

_NAMES = frozenset(
    {
        "API_SERVER_ENABLED",
        "API_SERVER_HOST",
        "API_SERVER_KEY",
        "API_SERVER_PORT",
        "HERMES_DASHBOARD",
        "HERMES_GATEWAY_NO_SUPERVISE",
        "HERMES_HOME",
        "HERMES_MANAGED_DIR",
        "HERMES_TIMEZONE",
        "SUDO_CHAT_ALLOW_ALL_USERS",
        "TZ",
        "WHATSAPP_ENABLED",
    }
)


def is_owned_env(name: str) -> bool:
    """Tell whether the fleet owns the `.env` entry of this name, in any case."""
    return name.upper() in _NAMES
