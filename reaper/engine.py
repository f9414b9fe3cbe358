"""The container engine: the operations that the reaper needs, and Docker's implementation."""

import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

import docker
from docker.errors import APIError, DockerException, NotFound

from fleet import naming
from fleet.errors import FleetError
from fleet.host import ContainerSummary, activity, cron, list_containers
from fleet.host.activity import Activity
from fleet.host.cron import CronReading
from fleet.redaction import printable

_CALL_SECONDS = 20
_PROBE_SECONDS = activity.PROBE_SECONDS + 1
# For the whole answer to `GET /health`, and more bytes than any status line has.
_HEALTH_SECONDS = 2.0
_LINE_BYTES = 8192


class GoneError(FleetError):
    """The container does not exist any more."""


@dataclass(frozen=True)
class ContainerDetails:
    """The details of one container. Times are epoch seconds, or None if Docker's cannot be read."""

    id: str
    name: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict)
    healthy: bool = False
    created: float | None = None
    started: float | None = None
    port: int | None = None
    error: str = ""


class Engine(Protocol):
    """What the reaper needs of a container engine. Every call raises FleetError if it fails."""

    def list(self) -> dict[str, ContainerSummary]:
        """Return the containers with the fleet's prefix by name, in one call."""

    def inspect(self, name_or_id: str) -> ContainerDetails:
        """Return one container. Raises GoneError."""

    def activity(self, container_id: str) -> Activity:
        """Probe the agent in a running container. The answer names what cannot be read; nothing is raised."""

    def next_run(self, container_id: str, after: float | None) -> CronReading:
        """Read the time of the first job later than `after` from a stopped agent's files."""

    def start(self, container_id: str) -> None:
        """Start a container."""

    def stop(self, container_id: str, grace: int) -> None:
        """Stop a container, with that many seconds to drain, and wait until it is stopped."""

    def remove(self, container_id: str) -> None:
        """Remove a stopped container and keep its volumes."""

    def logs(self, container_id: str, lines: int) -> str:
        """Return the last log lines, printable characters only."""

    def volume_sizes(self) -> Mapping[str, int]:
        """Return the bytes in each of the fleet's volumes, by name."""

    def close(self) -> None:
        """Close every connection."""


def owned(labels: Mapping[str, str], name: str, stack: str) -> UUID | None:
    """Return the family of a container if its name and its labels say that this stack made it; else None."""
    family_id = naming.family_id_from_name(name)
    return family_id if family_id and naming.owned_by(labels, stack, family_id) else None


def parse_time(text: object) -> float | None:
    """Return a time of Docker's in epoch seconds; None for a zero time and for what is not a time.

    Docker's zero is the year 1; other writers use 1970.
    """
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text if isinstance(text, str) else ""))
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


class DockerEngine:
    """Docker through the API at `DOCKER_HOST`.

    A client negotiates the API's version once. It is closed when it gets no answer or its version is refused: Docker
    may have been upgraded, and the next call negotiates again.
    """

    @cached_property
    def _api(self) -> docker.APIClient:
        return _client(_CALL_SECONDS)

    @cached_property
    def _probing(self) -> docker.APIClient:
        return _client(_PROBE_SECONDS)

    def list(self) -> dict[str, ContainerSummary]:
        """Return the containers with the fleet's prefix by name, in one call."""
        try:
            return list_containers(self._api)
        except FleetError:
            self.close()
            raise

    def inspect(self, name_or_id: str) -> ContainerDetails:
        """Return one container. Raises GoneError."""
        with self._errors(name_or_id):
            return container_details(self._api.inspect_container(name_or_id))

    def activity(self, container_id: str) -> Activity:
        """Probe the agent in a running container."""
        try:
            return activity.read_activity(self._probing, container_id)
        except FleetError as error:
            return activity.nothing_read(0.0, str(error))

    def next_run(self, container_id: str, after: float | None) -> CronReading:
        """Read the time of the first job later than `after` from a stopped agent's files."""
        try:
            return cron.read_cron(self._api, container_id, after)
        except FleetError as error:
            return CronReading(unread=str(error))

    def start(self, container_id: str) -> None:
        """Start a container; it may run already."""
        with self._errors(container_id):
            self._api.start(container_id)

    def stop(self, container_id: str, grace: int) -> None:
        """Stop a container, with that many seconds to drain, and wait until it is stopped."""
        with self._errors(container_id):
            self._api.stop(container_id, timeout=grace)

    def remove(self, container_id: str) -> None:
        """Remove a stopped container and keep its volumes."""
        with self._errors(container_id):
            self._api.remove_container(container_id, v=False, force=False)

    def logs(self, container_id: str, lines: int) -> str:
        """Return the last log lines, printable characters only: an agent must not control the operator's terminal."""
        with self._errors(container_id):
            raw: bytes = self._api.logs(container_id, tail=lines)
            return printable(raw.decode("utf-8", "replace"), keep="\n")

    def volume_sizes(self) -> Mapping[str, int]:
        """Return the bytes in each of the fleet's volumes by name. Docker reads all directories for it."""
        with self._errors("the volumes' sizes"):
            volumes = self._api.df().get("Volumes") or []
        sizes = {volume["Name"]: int((volume.get("UsageData") or {}).get("Size", -1)) for volume in volumes}
        return {name: size for name, size in sizes.items() if name.startswith(naming.PREFIX) and size >= 0}

    def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        for name in ("_api", "_probing"):
            client: docker.APIClient | None = self.__dict__.pop(name, None)
            if client is not None:
                client.close()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Translate errors, and close the clients if new ones may succeed."""
        try:
            yield
        except NotFound as error:
            raise GoneError(f"{what}: there is no such container") from error
        except APIError as error:
            if "client version" in str(error):
                self.close()
            raise FleetError(f"{what}: {error.explanation or error}") from error
        except (DockerException, OSError) as error:
            self.close()
            raise FleetError(f"docker: {what}: {error}") from error


def container_details(attributes: Mapping[str, Any]) -> ContainerDetails:
    """Return the details of one container from Docker's answer."""
    state: Mapping[str, Any] = attributes.get("State") or {}
    published = ((attributes.get("NetworkSettings") or {}).get("Ports") or {}).get(f"{naming.API_PORT}/tcp") or []
    return ContainerDetails(
        id=attributes["Id"],
        name=str(attributes.get("Name", "")).removeprefix("/"),
        state=state.get("Status", ""),
        labels=(attributes.get("Config") or {}).get("Labels") or {},
        healthy=(state.get("Health") or {}).get("Status") == "healthy",
        created=parse_time(attributes.get("Created")),
        started=parse_time(state.get("StartedAt")),
        port=next((int(entry["HostPort"]) for entry in published if entry.get("HostPort")), None),
        error=state.get("Error") or "",
    )


def _client(seconds: int) -> docker.APIClient:
    try:
        return docker.from_env(timeout=seconds).api
    except DockerException as error:
        raise FleetError(f"docker: no daemon answers ({error})") from error


def healthy(host: str, port: int) -> bool:
    """Tell whether the agent behind a published port answers `GET /health` with 200 within 2 s.

    Plain sockets: urllib3 has timeouts for each socket operation, and none for an answer that comes byte by byte.
    """
    deadline = time.monotonic() + _HEALTH_SECONDS
    request = f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=_HEALTH_SECONDS) as connection:
            connection.sendall(request.encode())
            version, status, *_ = _first_line(connection, deadline).split()
    except (OSError, ValueError):  # ValueError: no status line, or an invalid host name
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
