"""The entries of `.env` that the fleet itself writes, and neither the registry nor the stack's config may set."""

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


def is_managed_env(name: str) -> bool:
    """Tell whether an entry of this name, in any case, is the fleet's own."""
    return name.upper() in _NAMES
