"""When a stopped agent's next job is due, read from its files.

The agent owns the files, so they are not trusted: reading is bounded in size and time, and an invalid file counts as
not read.
"""

import importlib.util
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import IO, Any, Protocol, cast

from docker.errors import DockerException, NotFound

from fleet.errors import FleetError
from fleet.host.activity import one_line
from fleet.naming import DATA

_PROBE = Path(__file__).parent.parent.parent / "templates" / "probe.py"
_ARCHIVE_BYTES = 64 << 20
_ARCHIVE_SECONDS = 10
_JOBS_BYTES = 4 << 20
# Jobs files by the path whose archive has them.
_ARCHIVES = {
    f"{DATA}/cron/jobs.json": re.compile(r"jobs\.json"),
    f"{DATA}/profiles": re.compile(r"profiles/[^/]+/cron/jobs\.json"),
}


@dataclass(frozen=True)
class CronReading:
    """The earliest scheduled run of a stopped agent, in epoch seconds; `unread` has the reason of what was not read."""

    next_run: float | None = None
    unread: str | None = None


@dataclass(frozen=True)
class Jobs:
    """When the jobs of one file are next due, in epoch seconds; `unread` has the reason of what was not read."""

    runs: tuple[float, ...] = ()
    unread: str | None = None


class ArchiveApi(Protocol):
    """The call of docker-py's `APIClient` that is needed to read a schedule."""

    def get_archive(self, container: str, path: str) -> tuple[Iterable[bytes], Mapping[str, Any]]: ...  # noqa: D102


def read_cron(api: ArchiveApi, container_id: str, after: float | None = None) -> CronReading:
    """Read when a stopped agent's next job is due after `after` (epoch seconds), profiles included.

    Never raises: failures are in `unread`, and what was read counts.
    """
    found: list[Jobs] = []
    for path, jobs_files in _ARCHIVES.items():
        try:
            found += _jobs(api, container_id, path, jobs_files)  # an error keeps the files before it
        except (DockerException, OSError, tarfile.TarError, FleetError, ValueError) as error:
            found.append(Jobs(unread=one_line(str(error)) or type(error).__name__))
    due = [run for jobs in found for run in jobs.runs if after is None or run > after]
    return CronReading(min(due, default=None), next((jobs.unread for jobs in found if jobs.unread), None))


def _jobs(api: ArchiveApi, container_id: str, path: str, jobs_files: re.Pattern[str]) -> Iterator[Jobs]:
    """Yield the jobs of each jobs file in the archive of a path, none where the path does not exist."""
    try:
        chunks, _ = api.get_archive(container_id, path)
    except NotFound:
        return
    source = _Chunks(chunks)
    with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if not jobs_files.fullmatch(str(name)):
                continue
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or member.size > _JOBS_BYTES:
                yield Jobs(unread=one_line(f"{name} is not a file of at most {_JOBS_BYTES} bytes"))
            else:
                yield read_jobs(file.read().decode("utf-8", "replace"), Path(name))
    while source.read(1 << 16):
        pass  # an answer that is not read to its end keeps its connection


class _Chunks:
    """A stream of bytes as a file; reading raises FleetError once it takes too long or is too large."""

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
                raise FleetError(f"profiles are too large to read ({_ARCHIVE_BYTES} bytes, {_ARCHIVE_SECONDS} s)")
            self._buffer += chunk
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def read_jobs(text: str, path: Path) -> Jobs:
    """Read when each job of a `cron/jobs.json` is next due."""
    probe = _probe()
    try:
        return Jobs(tuple(probe.runs_of(text, path)))
    except probe.UnreadableError as error:
        return Jobs(tuple(error.known), one_line(str(error)))


@cache
def _probe() -> ModuleType:
    """Return the probe as a module, so that jobs are parsed by the same code inside a container and outside."""
    spec = importlib.util.spec_from_file_location("hermes_fleet_probe", _PROBE)
    if spec is None or spec.loader is None:
        raise FleetError(f"{_PROBE} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
