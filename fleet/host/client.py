"""The connection to a Docker host, and errors that say how to fix it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult, urlsplit

import docker
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, NotFound

from fleet.errors import FleetError

_TIMEOUT_SECONDS = 60


def address(docker_host: str) -> SplitResult:
    """Return the parts of a `DOCKER_HOST`, which may be empty. Raises FleetError for what is no address."""
    try:
        parts = urlsplit(docker_host)
        parts.port  # noqa: B018 - raises, where it is no port
    except ValueError as error:
        raise FleetError(
            f"docker: DOCKER_HOST={docker_host!r} is not an address ({error}); mend it with: "
            "export DOCKER_HOST=unix:///var/run/docker.sock (or tcp://HOST:PORT)"
        ) from error
    return parts


def connect() -> docker.DockerClient:
    """Return a client for the provider's default host (`DOCKER_HOST`). Raises FleetError where none answers.

    It asks for what the provider asks for, a ping, and no more: a preview gets by on a socket that answers just that.
    """
    address(os.environ.get("DOCKER_HOST", ""))
    with asking():
        client = docker.from_env(timeout=_TIMEOUT_SECONDS, version=MINIMUM_DOCKER_API_VERSION)
        ping = client.api.get(f"{client.api.base_url}/_ping", timeout=_TIMEOUT_SECONDS)
        ping.raise_for_status()
        client.close()
        return docker.from_env(timeout=_TIMEOUT_SECONDS, version=ping.headers.get("Api-Version"))


def processors(client: docker.DockerClient) -> int:
    """Return how many processors the host has. Raises FleetError like `observe`."""
    with asking():
        return int(client.info()["NCPU"])


def environment(client: docker.DockerClient, container_id: str) -> list[str]:
    """Return a container's environment, nothing for one that is gone by now. Raises FleetError like `observe`."""
    with asking():
        try:
            return client.api.inspect_container(container_id)["Config"]["Env"] or []
        except NotFound:
            return []


@contextmanager
def asking() -> Iterator[None]:
    """Raise FleetError for what goes wrong with the daemon inside the block."""
    try:
        yield
    except (DockerException, OSError) as error:
        raise FleetError(_unreachable(error)) from error


def _unreachable(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return (
            "docker: the daemon's socket may not be opened by this user (permission denied); mend it with: "
            "sudo usermod -aG docker $USER, then log in again"
        )
    if "paramiko" in text:
        return (
            "docker: DOCKER_HOST=ssh://… is not supported; use unix:// or tcp://, such as a socket forwarded by ssh -L"
        )
    if isinstance(error, APIError):
        return (
            f"docker: the daemon answers with an error ({text}); look into its log (journalctl -u docker) and run the "
            "same again, or point DOCKER_HOST at another one"
        )
    return (
        f"docker: no daemon answers ({text}); start it with: make docker (or: sudo systemctl start docker), "
        "or point DOCKER_HOST at one"
    )
