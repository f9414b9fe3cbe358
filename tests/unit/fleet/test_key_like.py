"""What is taken out of an agent's log before a family's device sees it, and what stays."""

import pytest

from fleet.redaction import redact_key_like


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Authorization: Basic QUMxMjM0NTY3ODkwOmF1dGg=", "Authorization: Basic [secret]"),
        ("{'Authorization': 'Bearer abcdefgh-1234'}", "{'Authorization': 'Bearer [secret]'}"),
        ("authorization: rawvalue-1234", "authorization: [secret]"),
        ("sent Bearer abcdefgh1234 to it", "sent Bearer [secret] to it"),
        (
            "https://api.telegram.org/bot123456789:AAEabcdefghijklmnopqrstuvw/getMe",
            "https://api.telegram.org/[secret]/getMe",
        ),
        ("proxy https://user:hunter2@proxy.example/v1", "proxy https://[secret]@proxy.example/v1"),
        ("gsk_abcdefghijklmnop rejected", "[secret] rejected"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuvw", "[secret]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[secret]"),
        ("xoxb-1234567890-abcdefghij", "[secret]"),
        ("sk-or-v1-abcdefgh", "[secret]"),
        ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3", "[secret]"),
        ("auth ('x', '0123456789abcdef0123456789abcdef')", "auth ('x', '[secret]')"),
        ("session bdKq7vX92mNpLr5TzY8wQh3J opened", "session [secret] opened"),
        ("Incorrect API key provided: gsk_abcdefghijkl", "Incorrect API key provided: [secret]"),
        ("Incorrect API key provided: abcd1234****wxyz", "Incorrect API key provided: [secret]"),
        ("API_SERVER_KEY=planted-secret-0001", "API_SERVER_KEY=[secret]"),
        ("DB_PASSWORD=hunterhunter", "DB_PASSWORD=[secret]"),
        ("password: hunterhunter", "password: [secret]"),
        ("password 'correct horse battery'", "password [secret]"),
        ("x-api-key: abcdefghijklmnop", "x-api-key: [secret]"),
        ('{"apiKey": "abcdefghijkl", "n": 1}', '{"apiKey": "[secret]", "n": 1}'),
        ("GET /v1?key=abcdefgh", "GET /v1?key=[secret]"),
        ("the key: abcdefgh12", "the key: [secret]"),
        ("token abcdefgh1234", "token [secret]"),
    ],
)
def test_what_looks_like_a_key_is_masked(line: str, shown: str) -> None:
    """Each shape, whatever stands before it; the words beside it stay."""
    assert redact_key_like(f"2026-11-21 07:11:34 ERROR x: {line}") == f"2026-11-21 07:11:34 ERROR x: {shown}"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-21 07:11:34,501 INFO gateway.run: Starting gateway (pid 17) on 0.0.0.0:8642",
        "hermes-user-0372c10c215d46b1a77d35bfd841bd79: there is no such container",
        f"image nousresearch/hermes-agent@sha256:{'0a' * 32}",
        "family 3f2b1c00-0000-4000-8000-000000000001 not woken",
        "ModuleNotFoundError: No module named 'hermes_cli.platforms'",
        "KeyError: 'api_server'",
        "Invalid token: signature mismatch.",
        "token expired: retrying connection",
        "total_tokens: 12345678, max_tokens=100000, token_count: 1234567",
        "Bearer authentication failed; Authorization header is missing",
        "unknown config key: display.tool_progress",
        "/opt/data/config.yaml: mapping values are not allowed here (line 3)",
        "Loaded model Qwen3-Coder-480B-A35B-Instruct from https://api.example.com/v1",
        "[Errno 13] Permission denied: '/opt/data/.env'",
        "API key is missing; set API_SERVER_KEY\n2026-11-21 in .env",
        "password is required for the account",
        '  File "/opt/hermes/.venv/lib/python3.11/site-packages/aiohttp/web.py", line 433, in _run_app',
    ],
)
def test_ordinary_lines_stay_readable(line: str) -> None:
    """Whoever reads why an agent did not start reads what it said."""
    assert redact_key_like(line) == line


@pytest.mark.parametrize(
    "piece", ["a", "_", "-key", "key ", "token ", "://", "eyJaaaaaaaaa-", "1", "a1A", "password '", " "]
)
def test_no_log_is_too_long_to_be_masked(piece: str) -> None:
    """An agent may write what it likes: the time that it takes grows with the text and no faster."""
    assert redact_key_like(piece * (300_000 // len(piece)))
