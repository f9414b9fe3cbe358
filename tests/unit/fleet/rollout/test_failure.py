"""The report on a family that did not turn healthy."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from fleet import host, naming
from fleet.errors import FleetError
from fleet.rollout.failure import gate_report
from tests.support.fleet.families import make_family, make_settings

FAMILY = make_family("smith")
NAME = naming.container_name(FAMILY.id)
SECRET = "sk-planted-key"

Report = Callable[..., str]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    """Return a function that reports on a container which failed, on a daemon that answers or raises."""

    def make(log: bytes = b"", answer: str = "no answer", error: str = "", **fails: Exception) -> str:
        state = {
            "Status": "running",
            "ExitCode": 0,
            "Error": error,
            "Health": {"Log": [{"ExitCode": 1, "Output": answer}]},
        }

        def call(name: str, result: Any) -> Any:
            if name in fails:
                raise fails[name]
            return result

        container = SimpleNamespace(attrs={"State": state}, logs=lambda **_: call("logs", log))
        containers = SimpleNamespace(get=lambda name: call("get", {NAME: container}[name]))
        client = SimpleNamespace(containers=containers, close=lambda: None)
        monkeypatch.setattr(host, "connect", lambda: call("connect", client))
        return gate_report(FAMILY, make_settings(llm_api_key=SECRET))

    return make


def test_what_an_agent_wrote_cannot_command_a_terminal_or_a_ci_system(report: Report) -> None:
    """Control and invisible characters are replaced, no line begins with `::`, and the rest is readable."""
    hostile = "\x1b[2J\x1b]0;owned\x07"
    log = f"{hostile}first\n::error::second\n  ::add-mask::a\rb\nsk-\u200bthird\n".encode()
    text = report(log, f"bad\n::set-output::{hostile}", hostile)
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert not any(line.strip().startswith("::") for line in text.splitlines())
    assert "  | ::error::second" in text.splitlines()
    assert "last 5 log lines:" in text


def test_secrets_are_redacted_everywhere(report: Report) -> None:
    """Log, health output and error may each hold a secret."""
    text = report(f"key={SECRET}\n".encode(), SECRET, SECRET)
    assert SECRET not in text
    assert text.count("[secret]") == 3


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ({"connect": FleetError("docker: no daemon answers")}, "inspected: docker: no daemon answers"),
        ({"get": APIError("the daemon is going away")}, "inspected: the daemon is going away"),
        ({"logs": OSError("connection reset")}, "inspected: connection reset"),
        ({"get": NotFound("no such container")}, "there is no container hermes-user-"),
    ],
)
def test_a_daemon_that_fails_meanwhile_hides_no_failure(report: Report, fails: dict[str, Exception], why: str) -> None:
    """The report still names the family."""
    text = report(**fails)
    assert f"family smith ({NAME}) did not pass its gate" in text
    assert why in text


@pytest.mark.parametrize("log", [b"", b"\xff\xfe half a character \xe2\x82\n"])
def test_any_log_can_be_reported(report: Report, log: bytes) -> None:
    """An empty one, and one that is not UTF-8."""
    assert "log lines:" in report(log)
