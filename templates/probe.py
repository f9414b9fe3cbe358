"""Says what an agent is doing, as one JSON object on stdout.

Runs inside a family's container by `docker exec`, as the agent's user, with nothing but the standard library. It only
reads. Every field stands for one signal; one that cannot be read is null and has its reason under `errors`:

- `human`, `any`: time of the newest message of a person, and of any source (epoch seconds; null: there is none); a
  session of a person that has no messages yet counts from its beginning
- `cron_next`: the earliest run that a job is scheduled for (epoch seconds), `cron_running`: scheduled turns under way
- `active_agents`: turns that the gateway reports, `children`: processes that the gateway started and that still run
- `inbound`: established connections to the API from outside the container

Whoever reads this output must not trust it: the agent shares its user.
"""

import functools
import json
import os
import signal
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SECONDS = 4.5
API_PORT = 8642
PROC = Path("/proc")

_FILE_BYTES = 4 << 20
_NEWEST = 200
# A turn that was cut off without an end must not keep its family awake for ever.
_LONGEST_TURN = 6 * 3600
# A gateway looks for jobs once a minute; after this long it has not seen a run that is due.
_LATE_SECONDS = 600
_REASON_LENGTH = 160
_ESTABLISHED = "01"

_HUMAN = (
    "SELECT max(timestamp) FROM (SELECT m.timestamp FROM messages m JOIN sessions s ON s.id = m.session_id"
    " WHERE m.role = 'user' AND s.source <> 'cron' ORDER BY m.id DESC LIMIT ?)"
)
_ANY = "SELECT max(timestamp) FROM (SELECT timestamp FROM messages ORDER BY id DESC LIMIT ?)"
# Hermes 0.15 keeps messages until their turn ends, but notes a new session when its first turn begins.
_BEGUN = (
    "SELECT max(started_at) FROM"
    " (SELECT id, started_at FROM sessions WHERE source <> 'cron' ORDER BY started_at DESC LIMIT ?) AS s"
    " WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.session_id = s.id)"
)
# A turn that ended has an end; one that died with its gateway has none, so only those of this gateway count.
_CRON_TURNS = "SELECT count(*) FROM sessions WHERE source = 'cron' AND ended_at IS NULL AND started_at >= ?"


class UnreadableError(Exception):
    """A signal that cannot be read, and why; `known` is what could be read of it all the same."""

    def __init__(self, why: str, known: Sequence[float] = ()) -> None:
        """Keep both."""
        super().__init__(why)
        self.known = known


def homes(data: Path) -> list[Path]:
    """Return the agent's data directory and that of each of its profiles."""
    if not data.is_dir():
        raise UnreadableError(f"{data} is not a directory")
    profiles = data / "profiles"
    try:
        return [data, *sorted(entry for entry in profiles.iterdir() if entry.is_dir())] if profiles.is_dir() else [data]
    except OSError as error:
        raise UnreadableError(f"{profiles}: {error.strerror}") from error


def read(path: Path) -> str | None:
    """Return a file's text, None where there is no file. Raises UnreadableError for whatever is not a plain file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UnreadableError(f"{path} is not a regular file")
        content = file.read(_FILE_BYTES + 1)
    if len(content) > _FILE_BYTES:
        raise UnreadableError(f"{path} is larger than {_FILE_BYTES} bytes")
    return content.decode("utf-8", "replace")


def parsed(text: str, path: Path) -> dict[str, Any]:
    """Return the JSON object in a text; raw control characters are let through, as Hermes does."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{path}: not a JSON object")
    return value


def runs_of(text: str, path: Path) -> list[float]:
    """Return when each scheduled job of a `cron/jobs.json`, or a `profiles/NAME/cron/jobs.json`, is next due.

    Raises UnreadableError where a job does not say, with what the others say as `known`.
    """
    jobs = parsed(text, path).get("jobs", [])
    if not isinstance(jobs, list):
        raise UnreadableError(f"{path}: jobs is not a list")
    due, wrong = [], None
    for job in jobs:
        try:
            run = _run_of(job, path)
        except UnreadableError as error:
            wrong = wrong or error
            continue
        if run is not None:
            due.append(run)
    if wrong:
        raise UnreadableError(str(wrong), due)
    return due


def _run_of(job: object, path: Path) -> float | None:
    """Return when one job is due, None where it is not scheduled."""
    if not isinstance(job, dict):
        raise UnreadableError(f"{path}: a job is not an object")
    if not job.get("enabled", True) or job.get("state", "scheduled") != "scheduled":
        return None
    schedule = job.get("schedule")
    once = isinstance(schedule, dict) and schedule.get("kind") == "once"
    run_at = job.get("next_run_at")
    return None if run_at is None and once else _instant(run_at, path)


def _instant(value: object, path: Path) -> float:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"{path}: a job's next_run_at cannot be read: {str(value)[:40]}") from error


def next_run(data: Path) -> float | None:
    """Return the earliest scheduled run of the agent and its profiles.

    A run that nobody began in time is nobody's, as in a profile without a gateway: any later one comes before it.
    """
    due = []
    for home in homes(data):
        path = home / "cron" / "jobs.json"
        text = read(path)
        if text is not None:
            due += runs_of(text, path)
    in_time = [run for run in due if run > time.time() - _LATE_SECONDS]
    return min(in_time or due, default=None)


def query(data: Path, statement: str, value: float) -> list[float]:
    """Return the one number a statement yields in each state.db that exists; databases without a number are left out.

    Opened read-only and never as immutable: the gateway writes to it at the same time, through its WAL.
    """
    found = []
    for home in homes(data):
        path = home / "state.db"
        try:
            if not path.exists():
                continue
            if not path.is_file():
                raise UnreadableError(f"{path} is not a regular file")
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)
            try:
                row = connection.execute(statement, (value,)).fetchone()
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise UnreadableError(f"{path}: {error}") from error
        if row[0] is not None:
            found.append(float(row[0]))
    return found


def newest(data: Path, *statements: str) -> float | None:
    """Return the newest time that the statements select."""
    return max((at for statement in statements for at in query(data, statement, _NEWEST)), default=None)


def last_word(data: Path) -> float | None:
    """Return when somebody last wrote to the agent.

    Hermes 0.15 keeps a message until its turn ends, but notes in a file that one on a chat platform began.
    """
    found = [newest(data, _HUMAN, _BEGUN)]
    for home in homes(data):
        path = home / "sessions" / "sessions.json"
        try:
            found.append(path.stat().st_mtime)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UnreadableError(f"{path}: {error.strerror}") from error
    return max((at for at in found if at is not None), default=None)


def processes() -> Iterator[tuple[int, int, str, list[str], float]]:
    """Yield (pid, parent, state, arguments, seconds since boot at its start) of every process of the container."""
    ticks = os.sysconf("SC_CLK_TCK")
    for entry in PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            arguments = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(entry.name), int(fields[1]), fields[0], arguments, int(fields[19]) / ticks


def is_gateway(arguments: list[str]) -> bool:
    """Tell whether a command line is that of a Hermes gateway, and not of a script on the way to it."""
    python = arguments[0].rpartition("/")[2].startswith("python")
    return python and "gateway" in arguments and any("hermes" in argument for argument in arguments)


@functools.cache
def gateways() -> tuple[list[int], float, int]:
    """Return the gateways' process ids, when the first of them started (epoch seconds), and their descendants."""
    try:
        table = list(processes())
        uptime = float((PROC / "uptime").read_text(encoding="utf-8").split()[0])
    except OSError as error:
        raise UnreadableError(f"{error.filename}: {error.strerror}") from error
    found = [(pid, started) for pid, _, _, arguments, started in table if is_gateway(arguments)]
    if not found:
        raise UnreadableError("no gateway process runs")
    ours = {pid for pid, _ in found}
    below, grown = set(ours), True
    while grown:
        more = {pid for pid, parent, _, _, _ in table if parent in below} - below
        below |= more
        grown = bool(more)
    alive = [pid for pid, _, state, _, _ in table if pid in below - ours and state not in "ZX"]
    return sorted(ours), time.time() - uptime + min(started for _, started in found), len(alive)


def running_gateways() -> list[int]:
    """Return the process ids of the gateways, of which there may be none."""
    try:
        return gateways()[0]
    except UnreadableError:
        return []


def cron_turns(data: Path) -> int:
    """Return how many scheduled turns are under way."""
    _, started, _ = gateways()
    return int(sum(query(data, _CRON_TURNS, max(started - 1, time.time() - _LONGEST_TURN))))


def active_agents(data: Path) -> int:
    """Return how many turns the gateways report. Turns that came in by the API are not among them.

    What a profile's gateway noted counts while it runs: one that was killed in a turn never takes it back.
    """
    total = 0
    for home in homes(data):
        path = home / "gateway_state.json"
        text = read(path)
        if text is None:
            if home == data:
                raise UnreadableError(f"{path}: no such file")
            continue
        noted = parsed(text, path)
        count = noted.get("active_agents")
        if home != data and noted.get("pid") not in running_gateways():
            continue
        if not isinstance(count, int):
            if home == data:
                raise UnreadableError(f"{path}: says nothing about active agents")
            continue
        total += max(0, count)
    return total


def inbound() -> int:
    """Return how many connections to the API are established from outside the container."""
    count = 0
    for name in ("tcp", "tcp6"):
        path = PROC / "net" / name
        try:
            lines = path.read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UnreadableError(f"{path}: {error.strerror}") from error
        for line in lines:
            local, remote, state = line.split()[1:4]
            here, _, port = local.rpartition(":")
            there = remote.rpartition(":")[0]
            if state == _ESTABLISHED and int(port, 16) == API_PORT and there != here and not _loopback(there):
                count += 1
    return count


def _loopback(address: str) -> bool:
    """Tell whether an address of /proc/net, in groups of four bytes the wrong way round, is the loopback's."""
    raw = bytes.fromhex(address)
    groups = b"".join(
        raw[at : at + 4][::-1] if sys.byteorder == "little" else raw[at : at + 4] for at in range(0, len(raw), 4)
    )
    mapped = groups[12:] if groups.startswith(bytes(10) + b"\xff\xff") else groups
    return mapped[:1] == b"\x7f" if len(mapped) == 4 else groups == bytes(15) + b"\x01"  # noqa: PLR2004 - IPv4


def report(data: Path) -> dict[str, Any]:
    """Return everything this probe can say, and why it cannot say the rest."""
    fields: dict[str, Callable[[], Any]] = {
        "human": lambda: last_word(data),
        "any": lambda: newest(data, _ANY, _BEGUN),
        "cron_next": lambda: next_run(data),
        "cron_running": lambda: cron_turns(data),
        "active_agents": lambda: active_agents(data),
        "children": lambda: gateways()[2],
        "inbound": inbound,
    }
    said: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, field in fields.items():
        try:
            said[name] = field()
        except Exception as error:  # noqa: BLE001 - one signal that fails must not hide the others
            said[name] = None
            errors[name] = str(error)[:_REASON_LENGTH] or type(error).__name__
    return {**said, "errors": errors}


def main() -> None:
    """Print the report. Whatever blocks is cut off: nobody else would end this process."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    data = Path(os.environ.get("HERMES_HOME") or "/opt/data")
    sys.stdout.write(json.dumps(report(data)) + "\n")


if __name__ == "__main__":
    main()
