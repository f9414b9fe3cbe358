"""What is believed of a probe's output, and what is read from a stopped agent's files."""

import io
import json
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from docker.errors import APIError, NotFound
from hypothesis import given
from hypothesis import strategies as st

from fleet import activity
from fleet.activity import COUNTS, TIMES, CronReading, parse_probe, read_activity, read_cron

NOW = 1_800_000_000.0
SAID = {
    "human": NOW - 5,
    "any": None,
    "cron_next": NOW + 60,
    "cron_running": 0,
    "active_agents": 1,
    "children": 2,
    "inbound": 3,
}


class Printed:
    """A stream of a process's output that ends, or hangs until it is closed."""

    def __init__(self, chunks: list[tuple[bytes | None, bytes | None]], *, hangs: bool = False) -> None:
        """Yield these chunks."""
        self._chunks, self._hangs = chunks, hangs
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Yield, then hang if told to."""
        yield from self._chunks
        if self._hangs:
            assert self.closed.wait(30)

    def close(self) -> None:
        """End whoever waits."""
        self.closed.set()


class Api:
    """A recorded Docker API."""

    def __init__(self, stream: Printed | None = None, archives: Mapping[str, bytes] | None = None) -> None:
        """Answer with these."""
        self.stream, self.archives = stream, archives or {}
        self.commands: list[tuple[list[str], str]] = []

    def exec_create(self, container: str, cmd: list[str], *, user: str) -> dict[str, Any]:
        """Take a command."""
        assert container
        self.commands.append((cmd, user))
        if self.stream is None:
            raise APIError("container is paused")
        return {"Id": "e"}

    def exec_start(self, exec_id: str, *, stream: Literal[True], demux: Literal[True]) -> Printed:
        """Answer its output."""
        assert (exec_id, stream, demux) == ("e", True, True)
        assert self.stream
        return self.stream

    def get_archive(self, container: str, path: str) -> tuple[Iterable[bytes], Mapping[str, Any]]:
        """Answer an archive in small pieces."""
        assert container
        if path not in self.archives:
            raise NotFound("no such file")
        raw = self.archives[path]
        return (raw[at : at + 700] for at in range(0, len(raw), 700)), {}


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


def test_a_good_answer_is_taken() -> None:
    """Every signal is there, and nothing is unread."""
    read = parse_probe(json.dumps(SAID | {"errors": {}}).encode(), NOW)
    assert {name: getattr(read, name) for name in SAID} == SAID
    assert not read.unread


@pytest.mark.parametrize(
    "output", [b"", b"nonsense", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 60_000, b'{"errors": 5}', b"{}"]
)
def test_garbage_is_unread_in_every_field(output: bytes) -> None:
    """What is no answer counts as nothing read, and never as nothing going on."""
    assert set(parse_probe(output, NOW).unread) == {*TIMES, *COUNTS}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("human", NOW + 60),
        ("any", "yesterday"),
        ("any", True),
        ("human", float("nan")),
        ("cron_next", float("inf")),
        pytest.param("cron_next", 10**400, id="no float"),
        pytest.param("human", -(10**400), id="no negative float"),
        ("children", -1),
        ("children", 1.5),
        ("inbound", None),
        ("inbound", False),
        ("active_agents", "0"),
    ],
)
def test_a_field_that_does_not_hold_up_is_unread(name: str, value: object) -> None:
    """A time in the future or a count that is none says nothing; the other fields stay."""
    read = parse_probe(json.dumps(SAID | {name: value}).encode(), NOW)
    assert set(read.unread) == {name}


def test_reasons_are_one_short_line() -> None:
    """What an agent gives as a reason cannot break a log or a page."""
    read = parse_probe(json.dumps(SAID | {"errors": {"human": "a\x1b[31m\nb" + "x" * 500, "any": {}}}).encode(), NOW)
    assert read.unread["human"].isprintable()
    assert len(read.unread["human"]) <= 160
    assert read.unread["any"] == "no reason given"


@given(st.binary(max_size=300))
def test_no_output_is_an_exception(output: bytes) -> None:
    """Whatever an agent prints, the reading is a reading."""
    assert parse_probe(output, NOW).read_at == NOW


def test_the_probe_runs_as_the_agent_with_an_isolated_python() -> None:
    """Nothing that the agent can write comes before the interpreter or into it."""
    api = Api(Printed([(json.dumps(SAID).encode(), None)]))
    assert not read_activity(api, "c", lambda: NOW).unread
    ((command, user),) = api.commands
    assert user == "hermes"
    assert "/opt/hermes/.venv/bin/python" in command[-1]
    assert '"$python" -I /opt/fleet/probe.py' in command[-1]


def test_a_probe_that_fails_floods_or_hangs_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, an error on stderr, too many bytes, too long: each says why."""
    monkeypatch.setattr(activity, "PROBE_SECONDS", 0.2)
    hanging = Printed([], hangs=True)
    cases: list[tuple[Printed | None, str]] = [
        (None, "paused"),
        (Printed([(None, b"sh: python: not found\n")]), "not found"),
        (Printed([]), "printed nothing"),
        (Printed([(b"x" * 70_000, None)]), "more than 65536 bytes"),
        (hanging, "longer than"),
    ]
    for stream, why in cases:
        read = read_activity(Api(stream), "c", lambda: NOW)
        assert set(read.unread) == {*TIMES, *COUNTS}
        assert why in read.unread["human"]
    assert hanging.closed.is_set()


def test_the_earliest_job_of_all_profiles_is_next() -> None:
    """The main jobs file and those of profiles are read; of other files of the profiles only the names are seen."""
    nine = datetime(2027, 1, 15, 9, 0, tzinfo=UTC)
    api = Api(
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
    assert read_cron(api, "c") == CronReading(nine.timestamp())
    assert read_cron(Api(), "c") == CronReading(None)


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
    """Paused, disabled and finished jobs are passed over; raw control characters are let through."""
    assert activity.read_jobs(text, Path("jobs.json")) == activity.Jobs(() if due is None else (due,))


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": 5}', '{"jobs": [5]}', jobs("soon"), jobs(None), jobs(7)])
def test_a_schedule_that_cannot_be_read_says_so(text: str) -> None:
    """No answer is not the same as no job."""
    reading = read_cron(Api(archives={"/opt/data/cron/jobs.json": archive({"jobs.json": text})}), "c")
    assert reading.next_run is None
    assert reading.unread


def test_a_run_that_was_woken_for_gives_way_to_the_next() -> None:
    """Where nobody runs a job it stays due for ever; the others are not to wait behind it."""
    text = jobs("2027-01-15T09:00:00Z", "2027-01-16T09:00:00Z")
    api = Api(archives={"/opt/data/cron/jobs.json": archive({"jobs.json": text})})
    first = read_cron(api, "c").next_run
    assert first
    assert read_cron(api, "c", first).next_run == first + 86_400
    assert read_cron(api, "c", first + 86_400) == CronReading(None)


def test_what_can_be_read_of_a_schedule_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job, a profile or an archive that cannot be read does not hide the runs of the others."""
    nine, main = "2027-01-15T09:00:00Z", "/opt/data/cron/jobs.json"
    due = datetime(2027, 1, 15, 9, tzinfo=UTC).timestamp()
    one_job = read_cron(Api(archives={main: archive({"jobs.json": jobs(None, nine)})}), "c")
    files = {"a": "{", "b": None, "c": jobs(nine)}
    profiles = archive({f"profiles/{name}/cron/jobs.json": text for name, text in files.items()})
    one_profile = read_cron(Api(archives={"/opt/data/profiles": profiles}), "c")
    monkeypatch.setattr(activity, "_ARCHIVE_BYTES", 30_000)
    huge = archive({"profiles/a/state.db": "x" * 60_000})
    all_profiles = read_cron(Api(archives={main: archive({"jobs.json": jobs(nine)}), "/opt/data/profiles": huge}), "c")
    assert [reading.next_run for reading in (one_job, one_profile, all_profiles)] == [due] * 3
    assert "next_run_at" in (one_job.unread or "")
    assert "not JSON" in (one_profile.unread or "")
    assert "too large" in (all_profiles.unread or "")


def test_links_and_huge_archives_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link in place of the file, and profiles without end, are unread."""
    link = Api(archives={"/opt/data/cron/jobs.json": archive({"jobs.json": None})})
    assert "not a file" in (read_cron(link, "c").unread or "")
    monkeypatch.setattr(activity, "_ARCHIVE_BYTES", 10_000)
    huge = Api(archives={"/opt/data/profiles": archive({"profiles/a/state.db": "x" * 20_000})})
    assert "too large" in (read_cron(huge, "c").unread or "")
