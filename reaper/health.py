"""Asks an agent for its health over the port that its container publishes, and leaves no connection behind."""

import http.client

_SECONDS = 2.0


def healthy(host: str, port: int) -> bool:
    """Tell whether the agent behind a published port answers `GET /health` with 200."""
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/health", headers={"Connection": "close"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
