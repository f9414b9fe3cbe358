"""Asks an agent for its health over the port that its container publishes, and leaves no connection behind."""

import socket
import time

# For the whole answer: one that comes byte by byte must not hold up whoever has a deadline of their own.
_SECONDS = 2.0
# More than any status line has.
_LINE_BYTES = 8192


def healthy(host: str, port: int) -> bool:
    """Tell whether the agent behind a published port answers `GET /health` with 200."""
    deadline = time.monotonic() + _SECONDS
    request = f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as connection:
            connection.sendall(request.encode())
            version, status, *_ = _first_line(connection, deadline).split()
    except (OSError, ValueError):  # ValueError: no status line, or a host that cannot be a name
        return False
    return version.startswith(b"HTTP/") and status == b"200"


def _first_line(connection: socket.socket, deadline: float) -> bytes:
    """Return what comes before the first line break. Raises TimeoutError at the deadline."""
    received = b""
    while b"\n" not in received and len(received) < _LINE_BYTES:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        chunk = connection.recv(_LINE_BYTES)
        if not chunk:
            break
        received += chunk
    return received.partition(b"\n")[0]
