"""When a stopped agent's next job is due, read from its files.

The agent owns the files, so they are not trusted: reading is bounded in size and time, and an invalid file counts as
not read.
"""

import importlib.util
import re
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from fleet.errors import FleetError
from fleet.host.activity import one_line
from fleet.naming import DATA

_PROBE = Path(__file__).parents[2] / "templates" / "probe.py"
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


def read_cron(api: docker.APIClient, container_id: str, after: float | None = None) -> CronReading:
    """Read when a stopped agent's next job is due after `after` (epoch seconds), profiles included.

    Never raises: failures are in `unread`, and what was read counts.
    """
    found: list[CronReading] = []
    for path in _ARCHIVES:
        try:
            found += _readings(api, container_id, path, after)  # an error keeps the files before it
        except (DockerException, OSError, tarfile.TarError, FleetError, ValueError) as error:
            found.append(CronReading(unread=one_line(str(error)) or type(error).__name__))
    runs = [each.next_run for each in found if each.next_run is not None]
    return CronReading(min(runs, default=None), next((each.unread for each in found if each.unread), None))


def _readings(api: docker.APIClient, container_id: str, path: str, after: float | None) -> Iterator[CronReading]:
    """Yield a reading of each jobs file in the archive of a path, none where the path does not exist."""
    try:
        stream, _ = api.get_archive(container_id, path, tarfile.RECORDSIZE)  # chunks as large as tarfile reads
    except NotFound:
        return
    chunks = _limited(stream)
    source: Any = SimpleNamespace(read=lambda _: next(chunks, b""))
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            name = Path(member.name)
            if not _ARCHIVES[path].fullmatch(str(name)):
                continue
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or member.size > _JOBS_BYTES:
                yield CronReading(unread=one_line(f"{name} is not a file of at most {_JOBS_BYTES} bytes"))
            else:
                yield read_jobs(file.read().decode("utf-8", "replace"), name, after)
    for _ in chunks:
        pass  # an answer that is not read to its end keeps its connection


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of an archive. Raises FleetError once it takes too long or is too large."""
    left, deadline = _ARCHIVE_BYTES, time.monotonic() + _ARCHIVE_SECONDS
    for chunk in chunks:
        left -= len(chunk)
        if left < 0 or time.monotonic() > deadline:
            raise FleetError(f"profiles are too large to read ({_ARCHIVE_BYTES} bytes, {_ARCHIVE_SECONDS} s)")
        yield chunk


def read_jobs(text: str, path: Path, after: float | None = None) -> CronReading:
    """Read when the next job of a `cron/jobs.json` is due after `after`, by the code that the probe runs, too."""
    probe = _probe()
    try:
        runs, unread = probe.runs_of(text, path), None
    except probe.UnreadableError as error:
        runs, unread = list(error.known), one_line(str(error))
    return CronReading(min((run for run in runs if after is None or run > after), default=None), unread)


@cache
def _probe() -> ModuleType:
    """Return the probe as a module, so that jobs are parsed by the same code inside a container and outside."""
    spec = importlib.util.spec_from_file_location("hermes_fleet_probe", _PROBE)
    if spec is None or spec.loader is None:
        raise FleetError(f"{_PROBE} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
