"""Which of a probe's output is trusted."""

import json
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from docker.errors import APIError
from hypothesis import given
from hypothesis import strategies as st

from fleet.host import activity
from fleet.host.activity import COUNTS, TIMES, parse_probe, read_activity

NOW = 1_800_000_000.0
PRINTED = {
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
        """End the read that waits."""
        self.closed.set()


class Api:
    """A recorded Docker API."""

    def __init__(self, stream: Printed | None) -> None:
        """Answer with this."""
        self.stream = stream
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


def test_a_good_answer_is_taken() -> None:
    """Every signal is there, and nothing is unread."""
    read = parse_probe(json.dumps(PRINTED | {"errors": {}}).encode(), NOW)
    assert {name: getattr(read, name) for name in PRINTED} == PRINTED
    assert not read.unread


@pytest.mark.parametrize(
    "output", [b"", b"nonsense", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 60_000, b'{"errors": 5}', b"{}"]
)
def test_garbage_is_unread_in_every_field(output: bytes) -> None:
    """Invalid output counts as not read, never as idle."""
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
def test_an_invalid_field_is_unread(name: str, value: object) -> None:
    """A time in the future or an invalid count is not read; the other fields are."""
    read = parse_probe(json.dumps(PRINTED | {name: value}).encode(), NOW)
    assert set(read.unread) == {name}


def test_reasons_are_one_short_line() -> None:
    """A reason that an agent wrote cannot break a log or a page."""
    read = parse_probe(json.dumps(PRINTED | {"errors": {"human": "a\x1b[31m\nb" + "x" * 500, "any": {}}}).encode(), NOW)
    assert read.unread["human"].isprintable()
    assert len(read.unread["human"]) <= 160
    assert read.unread["any"] == "no reason given"


@given(st.binary(max_size=300))
def test_no_output_is_an_exception(output: bytes) -> None:
    """Any output is a reading."""
    assert parse_probe(output, NOW).read_at == NOW


def test_the_probe_runs_as_the_agent_with_an_isolated_python() -> None:
    """The agent can neither replace the interpreter nor add modules to it."""
    api: Any = Api(Printed([(json.dumps(PRINTED).encode(), None)]))
    assert not read_activity(api, "c", lambda: NOW).unread
    ((command, user),) = api.commands
    assert user == "hermes"
    assert "/opt/hermes/.venv/bin/python" in command[-1]
    assert '"$python" -I /opt/fleet/probe.py' in command[-1]


def test_what_stands_on_stderr_cannot_move_the_operators_terminal() -> None:
    """It is the reason why nothing was read: one short, printable line."""
    api: Any = Api(Printed([(None, b"\x1b]0;owned\x07\x1b[2J all is well" + b"x" * 500)]))
    read = read_activity(api, "c", lambda: NOW)
    assert "all is well" in read.unread["human"]
    assert read.unread["human"].isprintable()
    assert len(read.unread["human"]) <= 160


def test_a_probe_that_fails_floods_or_hangs_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the daemon, an error on stderr, too many bytes, too long: each has its reason."""
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
        api: Any = Api(stream)
        read = read_activity(api, "c", lambda: NOW)
        assert set(read.unread) == {*TIMES, *COUNTS}
        assert why in read.unread["human"]
    assert hanging.closed.is_set()
