"""The schedule in a stopped agent's files."""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from fleet.host import cron
from fleet.host.cron import CronReading, read_cron


class Api:
    """A recorded Docker API."""

    def __init__(self, archives: Mapping[str, bytes]) -> None:
        """Answer with these."""
        self.archives = archives

    def get_archive(self, container: str, path: str, chunk_size: int) -> tuple[Iterable[bytes], Mapping[str, Any]]:
        """Answer an archive in small pieces."""
        assert container
        assert chunk_size >= 700
        if path not in self.archives:
            raise NotFound("no such file")
        raw = self.archives[path]
        return (raw[at : at + 700] for at in range(0, len(raw), 700)), {}


def api(archives: Mapping[str, bytes] | None = None) -> Any:
    """Return a Docker API that answers with these archives, by path."""
    return Api(archives or {})


def archive(files: Mapping[str, str | None]) -> bytes:
    """Return files as a tar; None is a symbolic link to somewhere else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            entry.size = len((content or "").encode())
            tar.addfile(entry, io.BytesIO((content or "").encode()))
    return buffer.getvalue()


def jobs(*next_runs: object, **values: Any) -> str:
    """Return a jobs file."""
    schedule = {"kind": "cron", "expr": "0 9 * * *"}
    entries = [
        {"enabled": True, "state": "scheduled", "schedule": schedule, "next_run_at": at, **values} for at in next_runs
    ]
    return json.dumps({"jobs": entries})


def test_the_earliest_job_of_all_profiles_is_next() -> None:
    """The main jobs file and those of profiles are read; of other files in profiles only the names are."""
    nine = datetime(2027, 1, 15, 9, 0, tzinfo=UTC)
    docker = api(
        archives={
            "/opt/data/cron/jobs.json": archive({"jobs.json": jobs((nine + timedelta(hours=2)).isoformat())}),
            "/opt/data/profiles": archive(
                {
                    "profiles/work/state.db": "x" * 50_000,
                    "profiles/work/cron/jobs.json": jobs("2027-01-15T10:00:00+01:00"),
                    "profiles/work/notes/jobs.json": "not a schedule",
                }
            ),
        }
    )
    assert read_cron(docker, "c") == CronReading(nine.timestamp())
    assert read_cron(api(), "c") == CronReading(None)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        (jobs(), None),
        (jobs("2027-01-15T09:00:00"), datetime(2027, 1, 15, 9, tzinfo=UTC).timestamp()),
        (jobs("2027-01-15T09:00:00Z", enabled=False), None),
        (jobs("2027-01-15T09:00:00Z", state="paused"), None),
        (jobs(None, schedule={"kind": "once"}), None),
        (jobs("2027-01-15T09:00:00Z").replace('"cron"', '"cr\ton"'), datetime(2027, 1, 15, 9, tzinfo=UTC).timestamp()),
    ],
)
def test_jobs_files_as_hermes_writes_them(text: str, due: float | None) -> None:
    """Paused, disabled and finished jobs do not count; raw control characters are allowed."""
    assert cron.read_jobs(text, Path("jobs.json")) == CronReading(due)


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": 5}', '{"jobs": [5]}', jobs("soon"), jobs(None), jobs(7)])
def test_a_schedule_that_cannot_be_read_says_so(text: str) -> None:
    """No answer is not the same as no job."""
    reading = read_cron(api(archives={"/opt/data/cron/jobs.json": archive({"jobs.json": text})}), "c")
    assert reading.next_run is None
    assert reading.unread


def test_a_run_that_was_woken_for_gives_way_to_the_next() -> None:
    """A job that never runs stays due forever, and must not hide the others."""
    text = jobs("2027-01-15T09:00:00Z", "2027-01-16T09:00:00Z")
    docker = api(archives={"/opt/data/cron/jobs.json": archive({"jobs.json": text})})
    first = read_cron(docker, "c").next_run
    assert first
    assert read_cron(docker, "c", first).next_run == first + 86_400
    assert read_cron(docker, "c", first + 86_400) == CronReading(None)


def test_what_can_be_read_of_a_schedule_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job, a profile or an archive that cannot be read does not hide the runs of the others."""
    nine, main = "2027-01-15T09:00:00Z", "/opt/data/cron/jobs.json"
    due = datetime(2027, 1, 15, 9, tzinfo=UTC).timestamp()
    one_job = read_cron(api(archives={main: archive({"jobs.json": jobs(None, nine)})}), "c")
    files = {"a": "{", "b": None, "c": jobs(nine)}
    profiles = archive({f"profiles/{name}/cron/jobs.json": text for name, text in files.items()})
    one_profile = read_cron(api(archives={"/opt/data/profiles": profiles}), "c")
    monkeypatch.setattr(cron, "_ARCHIVE_BYTES", 30_000)
    huge = archive({"profiles/a/state.db": "x" * 60_000})
    all_profiles = read_cron(api(archives={main: archive({"jobs.json": jobs(nine)}), "/opt/data/profiles": huge}), "c")
    assert [reading.next_run for reading in (one_job, one_profile, all_profiles)] == [due] * 3
    assert "next_run_at" in (one_job.unread or "")
    assert "not JSON" in (one_profile.unread or "")
    assert "too large" in (all_profiles.unread or "")


def test_links_and_huge_archives_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link in place of the file, and endless profiles, are not read."""
    link = api(archives={"/opt/data/cron/jobs.json": archive({"jobs.json": None})})
    assert "not a file" in (read_cron(link, "c").unread or "")
    monkeypatch.setattr(cron, "_ARCHIVE_BYTES", 10_000)
    huge = api(archives={"/opt/data/profiles": archive({"profiles/a/state.db": "x" * 20_000})})
    assert "too large" in (read_cron(huge, "c").unread or "")
