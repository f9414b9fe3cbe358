"""The Docker daemon, and the forms in which it writes values."""

import contextlib
import re
import time
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import docker
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env, version_lt
from requests.exceptions import RequestException

MIB = 1024 * 1024
CALL_TIMEOUT = 20 * 60
UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
DURATION = r"0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+"


class InitError(Exception):
    """A resource exists, but did not become what it should be. `state` is what is known of it."""

    def __init__(self, identifier: str, state: dict[str, Any], reason: str) -> None:
        """Keep what the engine is to write down."""
        super().__init__(reason)
        self.identifier, self.state = identifier, state


def connect() -> docker.APIClient:
    """Return a client of the daemon that the environment names, after one ping.

    The ping's header alone settles the API version: a preview without a daemon has nothing else to offer.
    Raises `DockerException` when nothing answers.
    """
    settings = {**kwargs_from_env(), "timeout": CALL_TIMEOUT, "max_pool_size": 64}
    try:
        probe = docker.APIClient(version=DEFAULT_DOCKER_API_VERSION, **settings)
        with contextlib.closing(probe):
            reply = probe.get(f"{probe.base_url}/_ping", timeout=10)
            reply.raise_for_status()
    except (DockerException, RequestException) as error:
        message = f"failed to connect to any docker daemon: {error}. Start one, or point DOCKER_HOST at one"
        raise DockerException(message) from error
    spoken = reply.headers.get("Api-Version", DEFAULT_DOCKER_API_VERSION)
    version = spoken if version_lt(spoken, DEFAULT_DOCKER_API_VERSION) else DEFAULT_DOCKER_API_VERSION
    return docker.APIClient(version=version, **settings)


def message_of(error: Exception) -> str:
    """Return an error's own words, the daemon's as its client prints them."""
    return f"Error response from daemon: {error.explanation}" if isinstance(error, APIError) else str(error)


def remove(act: Callable[[], object], busy: str) -> None:
    """Remove something, with patience while the daemon says that it is `busy`; gone already is fine."""
    deadline = time.monotonic() + 30
    while True:
        try:
            act()
        except NotFound:
            return
        except APIError as error:
            if busy not in str(error.explanation) or time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


def nanoseconds(duration: str) -> int:
    """Return a Go duration (`1m30s`) in nanoseconds."""
    return int(sum(Decimal(n) * UNITS[unit] for n, unit in re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", duration)))


def duration(nanos: int) -> str:
    """Return nanoseconds as Go prints a duration: `0s`, `500ms`, `1.5s`, `1m30s`, `1h0m0s`."""
    if 0 < nanos < UNITS["s"]:
        unit = next(unit for unit in ("ms", "µs", "ns") if nanos >= UNITS[unit])
        return f"{Decimal(nanos) / UNITS[unit]:f}{unit}"
    minutes, rest = divmod(nanos, UNITS["m"])
    hours, left = divmod(minutes, 60)
    seconds = f"{(Decimal(rest) / UNITS['s']).normalize():f}s"
    return f"{hours}h{left}m{seconds}" if hours else f"{left}m{seconds}" if left else seconds


def cpus(nanos: int) -> str:
    """Return a cpu limit as the official provider reads it back, `10.` for ten included."""
    text = f"{Decimal(nanos).scaleb(-9):.9f}"
    if text.count("0") == 9:  # noqa: PLR2004 - its test for a number with one decimal
        return str(Decimal(text).quantize(Decimal("0.1"), ROUND_HALF_UP))
    return text.rstrip("0")


def mebibytes(size: int) -> int:
    """Return bytes in MiB; -1, unlimited, stays."""
    return size // MIB if size > 0 else size
