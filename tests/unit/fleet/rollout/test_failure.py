"""The report on a family that did not turn healthy."""

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from fleet.redaction import Redaction
from fleet.rollout.failure import gate_report


def client(log: bytes, answer: str = "no answer", error: str = "") -> Any:
    """Return a client of a daemon with one container, which failed."""
    state = {
        "Status": "running",
        "ExitCode": 0,
        "Error": error,
        "Health": {"Log": [{"ExitCode": 1, "Output": answer}]},
    }
    container = SimpleNamespace(attrs={"State": state}, logs=lambda **_: log)
    return SimpleNamespace(containers=SimpleNamespace(get=lambda _: container))


def test_what_an_agent_wrote_cannot_command_a_terminal_or_a_ci_system() -> None:
    """Control and invisible characters are replaced, no line begins with `::`, and the rest is readable."""
    hostile = "\x1b[2J\x1b]0;owned\x07"
    log = f"{hostile}first\n::error::second\n  ::add-mask::a\rb\nsk-\u200bthird\n".encode()
    report = gate_report(client(log, f"bad\n::set-output::{hostile}", hostile), "c", "smith", Redaction([]))
    assert all(character.isprintable() for character in report.replace("\n", ""))
    assert not any(line.strip().startswith("::") for line in report.splitlines())
    assert "  | ::error::second" in report.splitlines()
    assert "last 5 log lines:" in report


def test_secrets_are_redacted_everywhere() -> None:
    """Log, health output and error may each hold a secret."""
    report = gate_report(
        client(b"key=sk-planted\n", "sk-planted", "sk-planted"), "c", "smith", Redaction(["sk-planted"])
    )
    assert "sk-planted" not in report
    assert report.count("[secret]") == 3


def test_a_daemon_that_fails_meanwhile_hides_no_failure() -> None:
    """The report still names the family."""

    def fail(_: str) -> None:
        raise APIError("the daemon is going away")

    broken: Any = SimpleNamespace(containers=SimpleNamespace(get=fail))
    report = gate_report(broken, "c", "smith", Redaction([]))
    assert "family smith (c) did not pass its gate" in report
    assert "the daemon is going away" in report


@pytest.mark.parametrize("log", [b"", b"\xff\xfe half a character \xe2\x82\n"])
def test_any_log_can_be_reported(log: bytes) -> None:
    """An empty one, and one that is not UTF-8."""
    assert "log lines:" in gate_report(client(log), "c", "smith", Redaction([]))
