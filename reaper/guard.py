"""Drops connections whose client takes too long to send a request; uvicorn itself waits for ever."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
_LOOK_SECONDS = 1.0

# The client still has to send something in these states: nothing came yet, part of a header, or part of a body.
_SENDING = (h11.IDLE, h11.SEND_BODY)


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to patience: a request has to be complete within ten seconds of its beginning."""

    _waiting: float | None = None
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch a connection."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching it."""
        if self._look:
            self._look.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Have patience anew: what comes now is another request."""
        self._waiting = None
        super().on_response_complete()

    def _watch(self) -> None:
        now = self.loop.time()
        if self.conn.their_state not in _SENDING:
            self._waiting = None
        elif self._waiting is None:
            self._waiting = now
        elif now - self._waiting > REQUEST_SECONDS:
            self.transport.abort()
            return
        self._look = self.loop.call_later(_LOOK_SECONDS, self._watch)


def limits() -> dict[str, Any]:
    """Return uvicorn's options that bound what a client can take up."""
    return {
        "http": PatientProtocol,
        "limit_concurrency": 1000,
        "timeout_keep_alive": 5,
        "h11_max_incomplete_event_size": 16 << 10,
        "backlog": 512,
    }
