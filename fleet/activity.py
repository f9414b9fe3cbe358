"""What a family's agent is doing: asked in its container while it runs, read from its files while it does not.

The agent shares its user with the probe and owns the files, so nothing here is trusted: answers are bounded in size
and time, checked field by field, and what does not hold up counts as not read.
"""

import contextlib
import importlib.util
import json
import math
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import IO, Any, Literal, Protocol, cast

from docker.errors import DockerException, NotFound

from fleet.container import DATA
from fleet.files import FLEET
from fleet.problems import FleetError

AGENT_USER = "hermes"
_PROBE = Path(__file__).parent.parent / "templates" / "probe.py"
PROBE_SECONDS = 5
PROBE_BYTES = 64 << 10

# Absolute paths only: nothing that the agent can write may come first on a search path.
_PYTHONS = "/opt/hermes/.venv/bin/python /usr/local/bin/python3 /usr/bin/python3"
COMMAND = (
    "/bin/sh",
    "-c",
    f'for python in {_PYTHONS}; do [ -x "$python" ] && exec "$python" -I {FLEET}/probe.py; done; exit 127',
)

_ARCHIVE_BYTES = 64 << 20
_ARCHIVE_SECONDS = 10
_JOBS_BYTES = 4 << 20
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


@dataclass(frozen=True)
class CronReading:
    """The earliest scheduled run of a stopped agent, as far as it could be read; `unread` says what could not."""

    next_run: float | None = None
    unread: str | None = None


@dataclass(frozen=True)
class Jobs:
    """When the jobs of one file are next due, as far as it could be read; `unread` says what could not."""

    runs: tuple[float, ...] = ()
    unread: str | None = None


class Stream(Protocol):
    """What a process in a container prints, as (stdout, stderr); closing it unblocks whoever reads."""

    def __iter__(self) -> Iterator[tuple[bytes | None, bytes | None]]: ...  # noqa: D105

    def close(self) -> None: ...  # noqa: D102


class ActivityApi(Protocol):
    """The calls of docker-py's `APIClient` that reading a family's activity takes."""

    def exec_create(self, container: str, cmd: list[str], *, user: str) -> dict[str, Any]: ...  # noqa: D102

    def exec_start(self, exec_id: str, *, stream: Literal[True], demux: Literal[True]) -> "Stream": ...  # noqa: D102

    def get_archive(self, container: str, path: str) -> tuple[Iterable[bytes], Mapping[str, Any]]: ...  # noqa: D102


def nothing_read(now: float, reason: str) -> Activity:
    """Return a reading in which every signal is unread for the same reason."""
    return Activity(now, unread=dict.fromkeys((*TIMES, *COUNTS), reason[:_REASON_LENGTH]))


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
            unread[name] = _line(errors[name])
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


def _line(value: object) -> str:
    text = value if isinstance(value, str) else "no reason given"
    return "".join(character if character.isprintable() else " " for character in text)[:_REASON_LENGTH]


def read_cron(api: ActivityApi, container_id: str, after: float | None = None) -> CronReading:
    """Read when a stopped agent's next job is due, profiles included: the first run later than `after` (epoch seconds).

    Never raises; what can be read counts.
    """
    found: list[Jobs] = []
    for path in (f"{DATA}/cron/jobs.json", f"{DATA}/profiles"):
        try:
            found += _jobs(api, container_id, path)  # an error on the way leaves what came before it
        except (DockerException, OSError, tarfile.TarError, FleetError, ValueError) as error:
            found.append(Jobs(unread=_line(str(error)) or type(error).__name__))
    due = [run for jobs in found for run in jobs.runs if after is None or run > after]
    return CronReading(min(due, default=None), next((jobs.unread for jobs in found if jobs.unread), None))


def _jobs(api: ActivityApi, container_id: str, path: str) -> Iterator[Jobs]:
    """Yield what each jobs file in an archive says. A profile's is `profiles/NAME/cron/jobs.json`."""
    try:
        chunks, _ = api.get_archive(container_id, path)
    except NotFound:
        return
    wanted = (1,) if path.endswith("jobs.json") else (4,)
    source = _Chunks(chunks)
    with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if (
                len(name.parts) not in wanted
                or name.name != "jobs.json"
                or (wanted == (4,) and name.parts[2] != "cron")
            ):
                continue
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or member.size > _JOBS_BYTES:
                yield Jobs(unread=_line(f"{name} is not a file of at most {_JOBS_BYTES} bytes"))
            else:
                yield read_jobs(file.read().decode("utf-8", "replace"), Path(name))
    while source.read(1 << 16):
        pass  # what is left of an answer keeps its connection


class _Chunks:
    """A stream of bytes as a file that ends, with an error, where it takes too long or grows too large."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._left = _ARCHIVE_BYTES
        self._deadline = time.monotonic() + _ARCHIVE_SECONDS

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._left -= len(chunk)
            if self._left < 0 or time.monotonic() > self._deadline:
                raise FleetError(
                    f"profiles are too large to look through ({_ARCHIVE_BYTES} bytes, {_ARCHIVE_SECONDS} s)"
                )
            self._buffer += chunk
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def read_jobs(text: str, path: Path) -> Jobs:
    """Read when each job of a `cron/jobs.json` is next due."""
    probe = _probe()
    try:
        return Jobs(tuple(probe.runs_of(text, path)))
    except probe.UnreadableError as error:
        return Jobs(tuple(error.known), _line(str(error)))


@cache
def _probe() -> ModuleType:
    """Return the probe as a module: what is read inside a container and outside is read by the same lines."""
    spec = importlib.util.spec_from_file_location("hermes_fleet_probe", _PROBE)
    if spec is None or spec.loader is None:
        raise FleetError(f"{_PROBE} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
