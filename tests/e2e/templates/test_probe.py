"""What the probe says of a data directory, run as it is run in a container."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

PROBE = Path(__file__).parent.parent.parent.parent / "templates" / "probe.py"
FIELDS = {"human", "any", "cron_next", "cron_running", "active_agents", "children", "inbound"}
# A gateway's command line, as the probe looks for it: Python, and the words of Hermes' command.
GATEWAY = """
import subprocess, time
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""

# Sees no process of this machine but those that it starts.
ALONE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def said(home: Path, *inside: str) -> dict[str, Any]:
    """Run the probe on a directory, on its own or by another command."""
    done = subprocess.run(
        [*inside, sys.executable, "-I", str(PROBE)],
        env={**os.environ, "HERMES_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return dict(json.loads(done.stdout))


@contextlib.contextmanager
def running_gateway(folder: Path) -> Iterator[int]:
    """Run a gateway with a child inside the block; yield its process id."""
    script = folder / "hermes.py"
    script.write_text(GATEWAY)
    gateway = subprocess.Popen([sys.executable, str(script), "gateway", "run"], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout
    child = int(gateway.stdout.readline())
    try:
        yield gateway.pid
    finally:
        os.kill(child, signal.SIGKILL)
        gateway.kill()
        gateway.communicate()


def database(home: Path, *messages: tuple[str, str, float]) -> sqlite3.Connection:
    """Write (source, role, time) into a state.db in WAL mode and return the connection, open like a gateway's."""
    home.mkdir(parents=True, exist_ok=True)
    found = sqlite3.connect(home / "state.db", isolation_level=None)
    found.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, source TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL);"
        "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT, role TEXT, timestamp REAL);"
    )
    for number, (source, role, at) in enumerate(messages):
        found.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (str(number), source, at, at))
        found.execute("INSERT INTO messages (session_id, role, timestamp) VALUES (?, ?, ?)", (str(number), role, at))
    return found


def jobs(home: Path, *next_runs: str) -> None:
    """Write a schedule."""
    (home / "cron").mkdir(parents=True, exist_ok=True)
    entries = [{"enabled": True, "state": "scheduled", "next_run_at": at} for at in next_runs]
    (home / "cron" / "jobs.json").write_text(json.dumps({"jobs": entries}))


def test_messages_are_told_apart_by_who_wrote_them(tmp_path: Path) -> None:
    """The newest message of a person is not that of a scheduled turn, nor the agent's answer; profiles count too."""
    writer = database(
        tmp_path, ("api_server", "user", 100.5), ("api_server", "assistant", 130.0), ("cron", "user", 200.0)
    )
    with writer:
        found = said(tmp_path)
        assert (found["human"], found["any"]) == (100.5, 200.0)
        other = database(tmp_path / "profiles" / "work", ("telegram", "user", 300.25))
        found = said(tmp_path)
        assert (found["human"], found["any"]) == (300.25, 300.25)
        other.close()
    writer.close()


def test_what_is_only_in_the_wal_is_seen_and_nothing_is_written(tmp_path: Path) -> None:
    """A gateway that writes at the same time is read without being disturbed."""
    writer = database(tmp_path, ("api_server", "user", 100.0))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in {".db", ".db-wal"}}
    assert (tmp_path / "state.db-wal").stat().st_size > 0
    assert said(tmp_path)["human"] == 100.0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in {".db", ".db-wal"}} == before
    writer.close()


@pytest.mark.parametrize("place", ["", "profiles/coder"])
def test_a_session_without_messages_is_a_turn_that_began(tmp_path: Path, place: str) -> None:
    """Hermes 0.15 writes them down when the turn ends; one that has any counts by them alone, a scheduled one never."""
    writer = database(tmp_path / place, ("api_server", "user", 100.0))
    with contextlib.closing(writer):
        writer.execute("UPDATE sessions SET started_at = 900.0")
        writer.execute("INSERT INTO sessions VALUES ('job', 'cron', 800.0, NULL)")
        found = said(tmp_path)
        assert (found["human"], found["any"]) == (100.0, 100.0)
        writer.execute("INSERT INTO sessions VALUES ('run', 'api_server', 700.0, NULL)")
        found = said(tmp_path)
        assert (found["human"], found["any"]) == (700.0, 700.0)


def test_the_earliest_job_is_next(tmp_path: Path) -> None:
    """Times of any zone, of any profile."""
    jobs(tmp_path, "2999-01-15T11:00:00+01:00", "2999-01-16T00:00:00Z")
    assert said(tmp_path)["cron_next"] == datetime(2999, 1, 15, 10, tzinfo=UTC).timestamp()
    jobs(tmp_path / "profiles" / "work", "2999-01-15T09:30:00+00:00")
    assert said(tmp_path)["cron_next"] == datetime(2999, 1, 15, 9, 30, tzinfo=UTC).timestamp()


def test_a_job_that_never_runs_hides_no_other(tmp_path: Path) -> None:
    """One of a profile without a gateway stays overdue; the next of those that are run counts, where there is one."""
    now = datetime.now(UTC)
    long_ago, just_due, later = (now + timedelta(minutes=minutes) for minutes in (-60, -5, 60))
    jobs(tmp_path / "profiles" / "work", long_ago.isoformat())
    assert said(tmp_path)["cron_next"] == long_ago.timestamp()
    jobs(tmp_path, later.isoformat())
    assert said(tmp_path)["cron_next"] == later.timestamp()
    jobs(tmp_path, later.isoformat(), just_due.isoformat())
    assert said(tmp_path)["cron_next"] == just_due.timestamp()


def test_a_fresh_directory_has_no_messages_and_no_jobs(tmp_path: Path) -> None:
    """Nothing there is an answer; no gateway is not."""
    found = said(tmp_path)
    assert (found["human"], found["any"], found["cron_next"]) == (None, None, None)
    assert not {"human", "any", "cron_next", "inbound"} & set(found["errors"])
    assert "active_agents" in found["errors"]


def test_what_cannot_be_read_says_so_and_the_rest_is_read(tmp_path: Path) -> None:
    """A broken database, schedule or state is an error of its own fields."""
    (tmp_path / "state.db").write_bytes(b"no database at all" * 100)
    (tmp_path / "cron").mkdir()
    (tmp_path / "cron" / "jobs.json").write_text("{")
    (tmp_path / "gateway_state.json").write_text('{"active_agents": 2}')
    found = said(tmp_path)
    assert {"human", "any", "cron_next"} <= set(found["errors"])
    assert found["active_agents"] == 2
    assert set(found) == {*FIELDS, "errors"}


@pytest.mark.parametrize("place", ["", "profiles/coder"])
def test_a_turn_that_has_begun_is_a_persons_message(tmp_path: Path, place: str) -> None:
    """Hermes 0.15 writes a message down when its turn ends, but notes the session when it begins."""
    database(tmp_path, ("cli", "user", 1_000.0))
    assert said(tmp_path)["human"] == 1_000.0
    sessions = tmp_path / place / "sessions" / "sessions.json"
    sessions.parent.mkdir(parents=True)
    sessions.write_text("{}")
    os.utime(sessions, (2_000.0, 2_000.0))
    found = said(tmp_path)
    assert (found["human"], found["any"]) == (2_000.0, 1_000.0)


def test_a_turn_of_a_profile_that_was_killed_is_over(tmp_path: Path, as_root: None) -> None:  # noqa: ARG001
    """Its gateway noted it and cannot take it back; a gateway that runs counts."""
    (tmp_path / "gateway_state.json").write_text('{"active_agents": 0}')
    noted = tmp_path / "profiles" / "coder" / "gateway_state.json"
    noted.parent.mkdir(parents=True)
    noted.write_text('{"pid": 99999999, "active_agents": 1, "gateway_state": "draining"}')
    assert said(tmp_path)["active_agents"] == 0
    with running_gateway(tmp_path) as pid:
        noted.write_text(json.dumps({"pid": pid, "active_agents": 1}))
        assert said(tmp_path)["active_agents"] == 1


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    """Every signal that would lie in it is unread."""
    assert {"human", "any", "cron_next", "active_agents"} <= set(said(tmp_path / "gone")["errors"])


@pytest.mark.parametrize("name", ["cron/jobs.json", "gateway_state.json"])
def test_what_is_no_plain_file_blocks_no_reader(tmp_path: Path, name: str) -> None:
    """A pipe in place of a file would hold a reader up for ever."""
    (tmp_path / "cron").mkdir()
    os.mkfifo(tmp_path / name)
    errors = said(tmp_path)["errors"]
    assert "not a regular file" in errors["cron_next" if "cron" in name else "active_agents"]


def test_children_of_a_gateway_count(tmp_path: Path, as_root: None) -> None:  # noqa: ARG001 - for a namespace
    """A process below the gateway is work in progress. Other agents are out of sight, as they are in a container."""
    script = tmp_path / "hermes.py"
    script.write_text(GATEWAY)
    assert said(tmp_path, *ALONE, "sh", "-c", '"$@"', "sh")["children"] is None
    began = tmp_path / "began"
    gateway = f"{sys.executable} {script} gateway run >{began} & while [ ! -s {began} ]; do sleep 0.05; done"
    assert said(tmp_path, *ALONE, "sh", "-c", f'{gateway}; "$@"', "sh")["children"] == 1


def test_a_scheduled_turn_under_a_running_gateway_counts(tmp_path: Path) -> None:
    """One that began since the gateway did and has no end is at work; an older one died with its own gateway."""
    writer = database(tmp_path)
    with contextlib.closing(writer), running_gateway(tmp_path):
        now = time.time()
        writer.execute("INSERT INTO sessions VALUES ('dead', 'cron', ?, NULL)", (now - 100_000,))
        assert said(tmp_path)["cron_running"] == 0
        writer.execute("INSERT INTO sessions VALUES ('going', 'cron', ?, NULL)", (now + 1,))
        assert said(tmp_path)["cron_running"] == 1
