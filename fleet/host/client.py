"""The connection to a Docker host, and errors that say how to fix it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, urlsplit

import docker
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, NotFound

from fleet.errors import FleetError

_TIMEOUT_SECONDS = 60


def address(docker_host: str) -> SplitResult:
    """Return the parts of a `DOCKER_HOST`, which may be empty. Raises FleetError for an invalid one."""
    try:
        parts = urlsplit(docker_host)
        parts.port  # noqa: B018 - raises for an invalid port
    except ValueError as error:
        raise FleetError(
            f"docker: DOCKER_HOST={docker_host!r} is not an address ({error}); fix: "
            "export DOCKER_HOST=unix:///var/run/docker.sock (or tcp://HOST:PORT)"
        ) from error
    return parts


def connect() -> docker.DockerClient:
    """Return a client of the provider's default host, `DOCKER_HOST`. Raises FleetError where no daemon answers.

    Like the provider it sends a ping only, so that a preview can run against a socket that answers nothing else.
    """
    address(os.environ.get("DOCKER_HOST", ""))
    with daemon_errors():
        client = docker.from_env(timeout=_TIMEOUT_SECONDS, version=MINIMUM_DOCKER_API_VERSION)
        ping = client.api.get(f"{client.api.base_url}/_ping", timeout=_TIMEOUT_SECONDS)
        ping.raise_for_status()
        client.close()
        return docker.from_env(timeout=_TIMEOUT_SECONDS, version=ping.headers.get("Api-Version"))


def environment(client: docker.DockerClient, container_id: str) -> list[str]:
    """Return a container's environment, empty if it is gone. Raises FleetError where the daemon does not answer."""
    with daemon_errors(), suppress(NotFound):
        return client.api.inspect_container(container_id)["Config"]["Env"] or []
    return []


@contextmanager
def daemon_errors() -> Iterator[None]:
    """Turn errors of the daemon inside the block into FleetError."""
    try:
        yield
    except (DockerException, OSError) as error:
        raise FleetError(_unreachable(error)) from error


def _unreachable(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return (
            "docker: this user may not open the daemon's socket (permission denied); fix: "
            "sudo usermod -aG docker $USER, then log in again"
        )
    if "paramiko" in text:
        return "docker: DOCKER_HOST=ssh://… is not supported; fix: use unix:// or tcp://, such as a socket of ssh -L"
    if isinstance(error, APIError):
        return (
            f"docker: the daemon answers with an error ({text}); fix: read its log (journalctl -u docker) and run the "
            "command again, or point DOCKER_HOST at another daemon"
        )
    return (
        f"docker: no daemon answers ({text}); fix: make docker (or: sudo systemctl start docker), "
        "or point DOCKER_HOST at one"
    )
