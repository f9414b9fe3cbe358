"""Redaction: known secrets in every form, what looks like a key, and characters that forge output."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.redaction import REDACTED, Redaction, printable, redact_key_like

SECRET = 'sk-a/b+c="d&é1234'
LONG_ENOUGH = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs"]), min_size=8, max_size=60)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(quote(SECRET, safe=""), safe=""),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(SECRET))[3:-3],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        repr(SECRET)[1:-1],
        SECRET.encode().hex(),
    ],
)
def test_escaped_forms_are_redacted(form: str) -> None:
    """URL, JSON and Python escapes and hex are all found; the text around them stays."""
    assert Redaction([SECRET]).apply(f"before {form} after") == f"before {REDACTED} after"


@given(secret=LONG_ENOUGH, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_base64_of_a_longer_text_does_not_leak_the_secret(secret: str, before: bytes, after: bytes) -> None:
    """A secret is found inside a longer encoded string (`user:key`, `Bearer key`)."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert REDACTED in Redaction([secret]).apply(encode(before + secret.encode() + after).decode())


@given(secret=LONG_ENOUGH, text=st.text(max_size=200))
def test_the_plain_secret_never_survives(secret: str, text: str) -> None:
    """The redacted text does not contain the secret."""
    assert secret not in Redaction([secret]).apply(f"{text}{secret}{text}").replace(REDACTED, "\0")


def test_the_longest_of_overlapping_secrets_wins() -> None:
    """A secret that contains another is redacted whole."""
    assert Redaction(["abcdefgh", "abcdefgh-and-more"]).apply("x abcdefgh-and-more y") == f"x {REDACTED} y"


def test_short_values_are_not_redacted() -> None:
    """A value such as `1` is no credential; redacting it would make every log unreadable."""
    assert Redaction(["1", "", "on"]).apply("1 is on") == "1 is on"


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
def test_what_looks_like_a_key_is_redacted(line: str, shown: str) -> None:
    """Each shape is found after any prefix; the words beside it stay."""
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
    """A log that explains why an agent did not start keeps its meaning."""
    assert redact_key_like(line) == line


@pytest.mark.parametrize(
    "piece", ["a", "_", "-key", "key ", "token ", "://", "eyJaaaaaaaaa-", "1", "a1A", "password '", " "]
)
def test_a_hostile_log_is_redacted_in_linear_time(piece: str) -> None:
    """An agent may write anything: the time grows no faster than the length of its log."""
    assert redact_key_like(piece * (300_000 // len(piece)))


def test_printable_text_is_one_line_without_control_or_invisible_characters() -> None:
    """Escape sequences, line breaks and bidirectional marks cannot change what a terminal shows."""
    assert printable("a\x1b[31mb\r\nc\u2028d\u202ee\u200bf\ud800") == "a [31mb  c d\ufffde\ufffdf\ufffd"
    assert printable("a\tb\nc", keep="\n") == "a b\nc"
