"""Keys derived from the stack's master key, never stored.

All are lowercase hex of HMAC-SHA256, keyed with the UTF-8 of the master key exactly as the stack's config holds it.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from uuid import UUID


def _hmac(key: str, message: str) -> str:
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def api_key_for(master_key: str, family_id: UUID) -> str:
    """Return the API_SERVER_KEY of a family: 64 hex digits."""
    return _hmac(master_key, f"api-server:{family_id}")


def reaper_key(master_key: str) -> str:
    """Return the only key that the reaper gets: 64 hex digits."""
    return _hmac(master_key, "reaper")


def heartbeat_token_for(reaper_key: str, family_id: UUID) -> str:
    """Return the token that a family's devices send with their heartbeats: 64 hex digits."""
    return _hmac(reaper_key, f"heartbeat:{family_id}")


def credentials_digest(master_key: str, llm_api_key: str, secret_env: Mapping[str, str]) -> str:
    """Return 16 hex digits that change with a family's credentials and reveal nothing about them.

    `secret_env` holds the secret `.env` entries of this family.
    """
    message = json.dumps([llm_api_key, sorted(secret_env.items())], ensure_ascii=False)
    return _hmac(master_key, f"credentials:{message}")[:16]
