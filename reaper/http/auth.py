"""Authentication: a family's own token or the admin token, and rate limits."""

import hmac
import threading
import time
from collections.abc import Callable
from uuid import UUID

from fleet import keys
from fleet.registry import Family
from reaper.context import Context

# Stands in for an unknown family, so that its answer takes as long as any other's.
_NO_FAMILY = UUID(int=0)


def bearer(header: str | None) -> str:
    """Return the token of an Authorization header, or an empty string."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def may_use(context: Context, family: Family | None, token: str) -> bool:
    """Tell whether a token is the family's, of the current or the previous reaper key, or the admin token.

    Does the same work for an unknown family (None) as for a wrong token.
    """
    settings = context.settings
    masters = (settings.reaper_key, settings.previous_key or settings.reaper_key)
    wanted = [keys.heartbeat_token_for(master, family.id if family else _NO_FAMILY) for master in masters]
    found = [hmac.compare_digest(token.encode(), each.encode()) for each in wanted]
    admin = is_admin(context, token)
    return admin or (family is not None and any(found))


def is_admin(context: Context, token: str) -> bool:
    """Tell whether a token is the admin token. An empty token never matches, even if the configured one is empty."""
    return hmac.compare_digest(token.encode(), context.settings.admin_token.encode()) and bool(token)


class Rates:
    """Limits the requests of each caller: a token bucket of `burst` requests that refills at `per_second`."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets."""
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def allows(self, caller: str) -> bool:
        """Take one request from a caller's bucket; return False if it is empty."""
        now = self._clock()
        with self._lock:
            if len(self._buckets) > 10_000:  # noqa: PLR2004 - full buckets are forgotten first
                self._forget(now)
            left, at = self._buckets.get(caller, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._per_second)
            self._buckets[caller] = (max(0.0, left - 1), now)
            return left >= 1

    def _forget(self, now: float) -> None:
        full = self._burst / self._per_second
        self._buckets = {caller: (left, at) for caller, (left, at) in self._buckets.items() if now - at < full}
