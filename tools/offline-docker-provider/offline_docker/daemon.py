"""The client of the Docker daemon, and conversions of its values."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import docker
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

ERRORS = (DockerException, OSError)  # those of requests are OSErrors, too
CALL_TIMEOUT = 20 * 60
MIB = 1024 * 1024
SECOND = 10**9  # in Docker's nanoseconds
UNITS = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND}


class InitError(Exception):
    """A resource was created but not initialized; the arguments are its id and the reason."""


def connect() -> docker.APIClient:
    """Return a client of the environment's daemon after one ping: a preview without a daemon offers nothing else."""
    settings: dict[str, Any] = {**kwargs_from_env(), "timeout": CALL_TIMEOUT, "max_pool_size": 64}
    try:
        with contextlib.closing(docker.APIClient(version=MINIMUM_DOCKER_API_VERSION, **settings)) as probe:
            reply = probe.get(f"{probe.base_url}/_ping", timeout=10)
            reply.raise_for_status()
    except ERRORS as error:
        raise DockerException(f"failed to connect to any docker daemon: {error}. Check DOCKER_HOST") from error
    return docker.APIClient(version=reply.headers.get("Api-Version"), **settings)


def message_of(error: Exception) -> str:
    """Return an error's message; the daemon's is formatted as by the docker command."""
    return f"Error response from daemon: {error.explanation}" if isinstance(error, APIError) else str(error)


@contextlib.contextmanager
def kept(identifier: str) -> Iterator[None]:
    """Turn an error in the block into an InitError with the id of what was created."""
    try:
        yield
    except ERRORS as error:
        raise InitError(identifier, message_of(error)) from error


def nanoseconds(duration: str) -> int:
    """Return a duration of whole hours, minutes and seconds (`1m30s`) in nanoseconds."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall("([0-9]+)([hms])", duration))


def duration(nanos: int) -> str:
    """Return nanoseconds as Go prints a duration: `0s`, `30s`, `1m30s`, `1h0m0s`."""
    minutes, seconds = divmod(nanos // SECOND, 60)
    hours, left = divmod(minutes, 60)
    return f"{hours}h{left}m{seconds}s" if hours else f"{left}m{seconds}s" if left else f"{seconds}s"


def cpus(nanos: int) -> str:
    """Return a cpu limit as the official provider reads it back, including oddities such as `10.` for ten."""
    text = f"{nanos / SECOND:.9f}"
    return f"{nanos / SECOND:.1f}" if text.count("0") == 9 else text.rstrip("0")  # noqa: PLR2004 - how it tells


def to_bytes(mib: int) -> int:
    """Return MiB in bytes; -1, unlimited, stays."""
    return mib * MIB if mib > 0 else mib
