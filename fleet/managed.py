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

MANAGED_ENV: frozenset[str] = frozenset(
    {
        "API_SERVER_CORS_ORIGINS",
        "API_SERVER_ENABLED",
        "API_SERVER_HOST",
        "API_SERVER_KEY",
        "API_SERVER_MODEL_NAME",
        "API_SERVER_PORT",
        "HERMES_DASHBOARD",
        "HERMES_GATEWAY_NO_SUPERVISE",
        "HERMES_HOME",
        "HERMES_MANAGED_DIR",
        "HERMES_TIMEZONE",
        "TZ",
        "WHATSAPP_ENABLED",
    }
)
