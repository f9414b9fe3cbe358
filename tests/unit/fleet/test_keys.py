"""Derived keys are a contract with devices and services: known inputs give known keys."""

import hashlib
import hmac
from uuid import UUID

from fleet import keys

MASTER = "m" * 32
FAMILY = UUID("0B9F5A3E-6C1D-4F0E-9D3A-2F6F1C0E4A77")


def expected(key: str, message: str) -> str:
    """Return HMAC-SHA256 as any other implementation computes it."""
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def test_api_key_is_the_hmac_over_the_dashed_id() -> None:
    """Services derive a family's API key themselves."""
    assert keys.api_key_for(MASTER, FAMILY) == expected(MASTER, "api-server:0b9f5a3e-6c1d-4f0e-9d3a-2f6f1c0e4a77")


def test_heartbeat_token_derives_from_the_reapers_key_alone() -> None:
    """The reaper can check heartbeats without the master key."""
    reaper = keys.reaper_key(MASTER)
    assert reaper == expected(MASTER, "reaper")
    assert keys.heartbeat_token_for(reaper, FAMILY) == expected(reaper, f"heartbeat:{FAMILY}")


def test_credentials_digest_changes_with_each_credential_and_with_nothing_else() -> None:
    """The label shows that something changed, not what."""
    digest = keys.credentials_digest(MASTER, "sk-1", {"A": "1", "B": "2"})
    assert len(digest) == 16
    assert digest == keys.credentials_digest(MASTER, "sk-1", {"B": "2", "A": "1"})
    others = [
        keys.credentials_digest("n" * 32, "sk-1", {"A": "1", "B": "2"}),
        keys.credentials_digest(MASTER, "sk-2", {"A": "1", "B": "2"}),
        keys.credentials_digest(MASTER, "sk-1", {"A": "1", "B": "3"}),
        keys.credentials_digest(MASTER, "sk-1", {"A": "1"}),
    ]
    assert len({digest, *others}) == 5
