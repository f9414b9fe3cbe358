"""What a family's agent is doing, asked in its container while it runs.

The agent shares its user with the probe, so nothing here is trusted: answers are bounded in size and time, checked
field by field, and what does not hold up counts as not read.
"""

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from docker.errors import DockerException

from fleet.errors import FleetError
from fleet.naming import FLEET
from fleet.redaction import printable

AGENT_USER = "hermes"
PROBE_SECONDS = 5
PROBE_BYTES = 64 << 10

# Absolute paths only: nothing that the agent can write may come first on a search path.
_PYTHONS = "/opt/hermes/.venv/bin/python /usr/local/bin/python3 /usr/bin/python3"
COMMAND = (
    "/bin/sh",
    "-c",
    f'for python in {_PYTHONS}; do [ -x "$python" ] && exec "$python" -I {FLEET}/probe.py; done; exit 127',
)

_REASON_LENGTH = 160
_AHEAD_SECONDS = 5

TIMES = ("human", "any", "cron_next")
COUNTS = ("cron_running", "active_agents", "children", "inbound")


@dataclass(frozen=True)
class Activity:
    """The signals of one reading, times in epoch seconds. A field in `unread` holds nothing; its reason stands there.

    `human` and `any` are the newest message of a person and of any source, None where there is none yet.
    """

    read_at: float
    human: float | None = None
    any: float | None = None
    cron_next: float | None = None
    cron_running: int = 0
    active_agents: int = 0
    children: int = 0
    inbound: int = 0
    unread: Mapping[str, str] = field(default_factory=dict)


class Stream(Protocol):
    """What a process in a container prints, as (stdout, stderr); closing it unblocks whoever reads."""

    def __iter__(self) -> Iterator[tuple[bytes | None, bytes | None]]: ...  # noqa: D105

    def close(self) -> None: ...  # noqa: D102


class ActivityApi(Protocol):
    """The calls of docker-py's `APIClient` that reading a family's activity takes."""

    def exec_create(self, container: str, cmd: list[str], *, user: str) -> dict[str, Any]: ...  # noqa: D102

    def exec_start(self, exec_id: str, *, stream: Literal[True], demux: Literal[True]) -> "Stream": ...  # noqa: D102


def nothing_read(now: float, reason: str) -> Activity:
    """Return a reading in which every signal is unread for the same reason."""
    return Activity(now, unread=dict.fromkeys((*TIMES, *COUNTS), one_line(reason)))


def read_activity(api: ActivityApi, container_id: str, clock: Callable[[], float] = time.time) -> Activity:
    """Run the probe in a running container. Never raises: what fails is in `unread`.

    `api` must not wait longer than a few seconds for an answer; the probe ends itself in its container.
    """
    try:
        started = api.exec_create(container_id, list(COMMAND), user=AGENT_USER)
        stream = api.exec_start(started["Id"], stream=True, demux=True)
        output = _limited(stream)
    except (DockerException, OSError, FleetError, ValueError, KeyError) as error:
        return nothing_read(clock(), f"the probe did not run: {error}")
    return parse_probe(output, clock())


def _limited(stream: Stream) -> bytes:
    late = threading.Event()

    def cut_off() -> None:
        late.set()
        stream.close()

    watchdog = threading.Timer(PROBE_SECONDS, cut_off)
    watchdog.daemon = True
    watchdog.start()
    output, noise = bytearray(), bytearray()
    try:
        for out, err in stream:
            output += out or b""
            noise += err or b""
            if len(output) + len(noise) > PROBE_BYTES:
                raise FleetError(f"it printed more than {PROBE_BYTES} bytes")
    finally:
        watchdog.cancel()
        _let_go(stream)
    if late.is_set():
        raise FleetError(f"it took longer than {PROBE_SECONDS} s")
    if not output:
        said = noise.decode("utf-8", "replace").strip()
        raise FleetError(said.splitlines()[-1] if said else "it printed nothing")
    return bytes(output)


def _let_go(stream: Stream) -> None:
    """Close a stream and the connection below it, which docker-py leaves to the garbage collector."""
    with contextlib.suppress(OSError):
        stream.close()
    response = getattr(stream, "_response", None)
    if response is not None:
        response.close()


def parse_probe(output: bytes, now: float) -> Activity:
    """Return what the probe printed, checked field by field. Never raises."""
    try:
        said = json.loads(output)
    except (ValueError, RecursionError):
        return nothing_read(now, "the probe's output is not JSON")
    if not isinstance(said, dict):
        return nothing_read(now, "the probe's output is not an object")
    given = said.get("errors")
    errors: dict[str, Any] = given if isinstance(given, dict) else {}
    values: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for name in (*TIMES, *COUNTS):
        if name in errors:
            unread[name] = one_line(errors[name])
        elif name not in said:
            unread[name] = "the probe does not say"
        elif name in TIMES:
            _take(values, unread, name, _moment(said[name], None if name == "cron_next" else now))
        else:
            _take(values, unread, name, _count(said[name]))
    return Activity(now, **values, unread=unread)


def _take(values: dict[str, Any], unread: dict[str, str], name: str, checked: tuple[Any, str | None]) -> None:
    value, wrong = checked
    if wrong:
        unread[name] = wrong
    else:
        values[name] = value


def _moment(value: object, now: float | None) -> tuple[float | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, "not a time"
    try:
        moment = float(value)
    except OverflowError:
        moment = math.inf
    if not math.isfinite(moment):
        return None, "not a time"
    if now is not None and moment > now + _AHEAD_SECONDS:
        return None, "lies in the future"
    return moment, None


def _count(value: object) -> tuple[int | None, str | None]:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None, "not a count"
    return value, None


def one_line(reason: object) -> str:
    """Return a reason that an agent had a hand in as one short line."""
    return printable(reason if isinstance(reason, str) else "no reason given")[:_REASON_LENGTH]
