"""Drops connections whose client is too slow to send a request or to take its answer; uvicorn itself waits for ever."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 10.0
_LOOK_SECONDS = 1.0

# The client still has to send something in these states: nothing came yet, part of a header, or part of a body.
_SENDING = (h11.IDLE, h11.SEND_BODY)


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to patience: a request has ten seconds to arrive, and its answer ten to be taken."""

    _sends_since: float | None = None
    _takes_since: float | None = None
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
        self._sends_since = None
        super().on_response_complete()

    def _watch(self) -> None:
        now = self.loop.time()
        self._sends_since = (self._sends_since or now) if self.conn.their_state in _SENDING else None
        # What the system has no more room for waits here. Closing such a connection would wait for the client, too.
        self._takes_since = (self._takes_since or now) if self.transport.get_write_buffer_size() else None
        if now - (self._sends_since or now) > REQUEST_SECONDS or now - (self._takes_since or now) > ANSWER_SECONDS:
            self.transport.abort()
            return
        self._look = self.loop.call_later(_LOOK_SECONDS, self._watch)


def limits() -> dict[str, Any]:
    """Return uvicorn's options that bound what a client can take up."""
    return {
        "http": PatientProtocol,
        "ws": "none",
        "limit_concurrency": 1000,
        "timeout_keep_alive": 5,
        "h11_max_incomplete_event_size": 16 << 10,
        "backlog": 512,
    }
