"""Who may ask for what: a family's own token, or the operator's. No answer tells an unknown family apart."""

import hmac
import threading
import time
from collections.abc import Callable
from uuid import UUID

from fleet import keys
from fleet.registry import Family
from reaper.context import Context

# Stands in for a family that does not exist, so that its answer takes as long as any other's.
_NOBODY = UUID(int=0)


def bearer(header: str | None) -> str:
    """Return the token of an Authorization header, empty where there is none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def may_use(context: Context, family: Family | None, token: str) -> bool:
    """Tell whether a token opens a family: the family's own, of this master key or the one before, or the admin's.

    Always does the same work, whether there is such a family or not.
    """
    settings = context.settings
    masters = (settings.reaper_key, settings.previous_key or settings.reaper_key)
    wanted = [keys.heartbeat_token_for(master, family.id if family else _NOBODY) for master in masters]
    found = [hmac.compare_digest(token.encode(), each.encode()) for each in wanted]
    admin = is_admin(context, token)
    return admin or (family is not None and any(found))


def is_admin(context: Context, token: str) -> bool:
    """Tell whether a token is the operator's. An empty token never matches, even if the configured one is empty."""
    return hmac.compare_digest(token.encode(), context.settings.admin_token.encode()) and bool(token)


class Rates:
    """How often each caller may ask: a bucket of `burst` that refills at `per_second`."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets."""
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def allows(self, caller: str) -> bool:
        """Take one from a caller's bucket; False where it is empty."""
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
