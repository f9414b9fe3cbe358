"""The right to start a family: the family's lease, and one of the host's `max_boots` boot slots."""

import contextlib
import logging

from fleet.registry import Family
from reaper.context import Context
from reaper.store import Lease
from reaper.store.database import StoreError

log = logging.getLogger("reaper")

WAKING = "wake"

_LEASE_SECONDS = 30.0
_RENEW_SECONDS = 5.0


class BootSlot:
    """What one operation holds of both. `close` gives it back."""

    def __init__(self, context: Context, family: Family) -> None:
        """Start without either."""
        self._context, self._family = context, family
        self._lease: Lease | None = None
        self._slot: Lease | None = None
        self._without_store = False
        self._renewed = 0.0

    @property
    def held(self) -> bool:
        """Tell whether the operation may start the family."""
        return self._slot is not None or self._without_store

    def take(self) -> bool:
        """Take what is free. Returns whether the operation may start the family now."""
        store = self._context.store
        try:
            if self._lease is None:
                self._lease = store.acquire(self._family.id, WAKING, _LEASE_SECONDS)
                self._renewed = self._context.clock.monotonic()
            if self._lease and not self._slot:
                numbers = range(self._context.settings.max_boots)
                leases = (store.acquire(_slot(number), WAKING, _LEASE_SECONDS) for number in numbers)
                self._slot = next(filter(None, leases), None)
        except StoreError as error:
            # A second start is harmless. Without leases, this process limits its own boots.
            self._without_store = self._without_store or self._context.boot_slots.acquire(blocking=False)
            if self._without_store:
                log.warning("%s: woken without a lease: %s", self._family.name, error)
        return self.held

    def renew(self) -> None:
        """Keep what is held from expiring. Call it at every step."""
        now = self._context.clock.monotonic()
        if now - self._renewed <= _RENEW_SECONDS:
            return
        self._renewed = now
        with contextlib.suppress(StoreError):
            for lease in self._leases():
                self._context.store.renew(lease, _LEASE_SECONDS)

    def others_boot(self) -> bool:
        """Tell whether the operation has no slot because others hold all of them."""
        if self.held:
            return False
        if self._lease:
            return True
        # Another operation holds the family's lease: it waits for a slot as well, or fails to start the family.
        with contextlib.suppress(StoreError):
            held = self._context.store.holders()
            return all(_slot(number) in held for number in range(self._context.settings.max_boots))
        return False

    def close(self) -> None:
        """Give back what is held; again is harmless."""
        for lease in self._leases():
            self._context.store.release(lease)
        if self._without_store:
            self._context.boot_slots.release()
        self._slot, self._lease, self._without_store = None, None, False

    def _leases(self) -> list[Lease]:
        return [lease for lease in (self._slot, self._lease) if lease]


def _slot(number: int) -> str:
    return f"boot:{number}"
