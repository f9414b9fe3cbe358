"""The Docker daemon, and the forms in which it writes values."""

import contextlib
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import docker
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env, version_lt
from requests.exceptions import RequestException

from offline_docker.schema import Properties

ERRORS = (DockerException, RequestException)
CALL_TIMEOUT = 20 * 60
MIB = 1024 * 1024
UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
DURATION = r"(?:([0-9.]+)(h|ms|m|s|us|ns))"


class InitError(Exception):
    """A resource exists, but did not become what it should be. `state` is what is known of it."""

    def __init__(self, identifier: str, state: Properties, reason: str) -> None:
        """Keep what the engine is to write down."""
        super().__init__(reason)
        self.identifier, self.state = identifier, state


def connect() -> docker.APIClient:
    """Return a client of the daemon that the environment names, after one ping.

    The ping's header alone settles the API version: a preview without a daemon has nothing else to offer.
    Raises `DockerException` when nothing answers.
    """
    settings: dict[str, Any] = {**kwargs_from_env(), "timeout": CALL_TIMEOUT, "max_pool_size": 64}
    try:
        with contextlib.closing(docker.APIClient(version=DEFAULT_DOCKER_API_VERSION, **settings)) as probe:
            reply = probe.get(f"{probe.base_url}/_ping", timeout=10)
            reply.raise_for_status()
    except ERRORS as error:
        raise DockerException(f"failed to connect to any docker daemon: {error}. Check DOCKER_HOST") from error
    spoken = reply.headers.get("Api-Version", DEFAULT_DOCKER_API_VERSION)
    version = spoken if version_lt(spoken, DEFAULT_DOCKER_API_VERSION) else DEFAULT_DOCKER_API_VERSION
    return docker.APIClient(version=version, **settings)


def message_of(error: Exception) -> str:
    """Return an error's own words, the daemon's as its own client prints them."""
    return f"Error response from daemon: {error.explanation}" if isinstance(error, APIError) else str(error)


def nanoseconds(duration: str) -> int:
    """Return a Go duration (`1m30s`) in nanoseconds."""
    return int(sum(Decimal(number) * UNITS[unit] for number, unit in re.findall(DURATION, duration)))


def duration(nanos: int) -> str:
    """Return nanoseconds as Go prints a duration: `0s`, `500ms`, `1.5s`, `1m30s`, `1h0m0s`."""
    if 0 < nanos < UNITS["s"]:
        unit = next(unit for unit in ("ms", "us", "ns") if nanos >= UNITS[unit])
        return f"{Decimal(nanos) / UNITS[unit]:f}{unit.replace('u', 'µ')}"
    minutes, rest = divmod(nanos, UNITS["m"])
    hours, left = divmod(minutes, 60)
    seconds = f"{(Decimal(rest) / UNITS['s']).normalize():f}s"
    return f"{hours}h{left}m{seconds}" if hours else f"{left}m{seconds}" if left else seconds


def cpus(nanos: int) -> str:
    """Return a cpu limit as the official provider reads it back, oddities such as `10.` for ten included."""
    text = f"{Decimal(nanos).scaleb(-9):.9f}"
    one_decimal = text.count("0") == 9  # noqa: PLR2004 - how it tells, right for most numbers
    return str(Decimal(text).quantize(Decimal("0.1"), ROUND_HALF_UP)) if one_decimal else text.rstrip("0")


def to_bytes(mib: int) -> int:
    """Return MiB in bytes; -1, unlimited, stays."""
    return mib * MIB if mib > 0 else mib


def to_mib(size: int) -> int:
    """Return bytes in MiB; -1, unlimited, stays."""
    return size // MIB if size > 0 else size
