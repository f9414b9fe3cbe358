"""What a family's agent is doing, read by a probe inside its container while it runs.

The probe runs as the agent's own user, so its output is not trusted: it is bounded in size and time, each field is
checked, and an invalid one counts as not read.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import docker
from docker.errors import DockerException
from pydantic import Field, TypeAdapter, ValidationError

from fleet.errors import FleetError
from fleet.naming import FLEET
from fleet.redaction import printable

AGENT_USER = "hermes"
PROBE_SECONDS = 5
PROBE_BYTES = 64 << 10

# Absolute paths, because the agent could put a python of its own onto a search path.
_PYTHONS = "/opt/hermes/.venv/bin/python /usr/local/bin/python3 /usr/bin/python3"
COMMAND = (
    "/bin/sh",
    "-c",
    f'for python in {_PYTHONS}; do [ -x "$python" ] && exec "$python" -I {FLEET}/probe.py; done; exit 127',
)

_REASON_LENGTH = 160
_AHEAD_SECONDS = 5

_OBJECT = TypeAdapter(dict[str, Any])
_TIME: TypeAdapter[float | None] = TypeAdapter(Annotated[float, Field(strict=True, allow_inf_nan=False)] | None)
_COUNT: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(strict=True, ge=0)])

TIMES = ("human", "any", "cron_next")
COUNTS = ("cron_running", "active_agents", "children", "inbound")


@dataclass(frozen=True)
class Activity:
    """The signals of one reading, times in epoch seconds. `unread` has the reason of each field that was not read.

    `human` and `any` are the newest message of a person and of any source, None if there is none yet.
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


def nothing_read(now: float, reason: str) -> Activity:
    """Return a reading in which every signal is unread for the same reason."""
    return Activity(now, unread=dict.fromkeys((*TIMES, *COUNTS), one_line(reason)))


def read_activity(api: docker.APIClient, container_id: str, clock: Callable[[], float] = time.time) -> Activity:
    """Run the probe in a running container. Never raises: failures are in `unread`.

    `api` must have a timeout of a few seconds. The probe ends by itself in its container.
    """
    try:
        output = _probe_output(api, container_id)
    except (DockerException, OSError, FleetError, ValueError, KeyError) as error:
        return nothing_read(clock(), f"the probe did not run: {error}")
    return parse_probe(output, clock())


def _probe_output(api: docker.APIClient, container_id: str) -> bytes:
    """Return what the probe prints. Raises FleetError where it prints too much or nothing, or takes too long."""
    started = api.exec_create(container_id, list(COMMAND), user=AGENT_USER)
    stream = api.exec_start(started["Id"], stream=True, demux=True)
    deadline = time.monotonic() + PROBE_SECONDS
    watchdog = threading.Timer(PROBE_SECONDS, stream.close)
    watchdog.daemon = True
    watchdog.start()
    output, errors = bytearray(), bytearray()
    try:
        for out, err in stream:
            output += out or b""
            errors += err or b""
            if len(output) + len(errors) > PROBE_BYTES:
                raise FleetError(f"it printed more than {PROBE_BYTES} bytes")
    finally:
        watchdog.cancel()
        # docker-py leaves the connection, `_response`, to the garbage collector.
        with contextlib.suppress(OSError), contextlib.closing(getattr(stream, "_response", stream)):
            stream.close()
    if time.monotonic() >= deadline:
        raise FleetError(f"it took longer than {PROBE_SECONDS} s")
    if not output:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        raise FleetError(lines[-1] if lines else "it printed nothing")
    return bytes(output)


def parse_probe(output: bytes, now: float) -> Activity:
    """Return what the probe printed, checked field by field. Never raises."""
    try:
        printed = _OBJECT.validate_json(output)
    except ValidationError:
        return nothing_read(now, "the probe's output is not a JSON object")
    values, unread = dict[str, Any](), dict[str, str]()
    for name in (*TIMES, *COUNTS):
        try:
            values[name] = _signal(name, printed, now)
        except FleetError as error:
            unread[name] = str(error)
    return Activity(now, **values, unread=unread)


def _signal(name: str, printed: Mapping[str, Any], now: float) -> float | None:
    errors = printed.get("errors")
    if isinstance(errors, dict) and name in errors:
        raise FleetError(one_line(errors[name]))
    if name not in printed:
        raise FleetError("the probe does not say")
    try:
        value = (_TIME if name in TIMES else _COUNT).validate_python(printed[name])
    except ValidationError:
        raise FleetError("not a time" if name in TIMES else "not a count") from None
    if name in {"human", "any"} and value is not None and value > now + _AHEAD_SECONDS:
        raise FleetError("lies in the future")
    return value


def one_line(reason: object) -> str:
    """Return a reason that may come from an agent as one short, printable line."""
    return printable(reason if isinstance(reason, str) else "no reason given")[:_REASON_LENGTH]
