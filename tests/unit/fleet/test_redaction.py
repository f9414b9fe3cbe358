"""No form in which a log can carry a secret gets past the mask."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.redaction import REDACTED, Redaction

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
def test_escaped_forms_are_masked(form: str) -> None:
    """URL, JSON and Python escapes and hex all turn into the mask, the text around them stays."""
    assert Redaction([SECRET]).apply(f"before {form} after") == f"before {REDACTED} after"


@given(secret=LONG_ENOUGH, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_base64_of_a_longer_text_does_not_leak_the_secret(secret: str, before: bytes, after: bytes) -> None:
    """Whatever stands around a secret in a Base64 text (`user:key`, `Bearer key`), its characters are masked."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        masked = Redaction([secret]).apply(encode(before + secret.encode() + after).decode())
        assert REDACTED in masked


@given(secret=LONG_ENOUGH, text=st.text(max_size=200))
def test_the_plain_secret_never_survives(secret: str, text: str) -> None:
    """After masking, the secret is nowhere in the text."""
    assert secret not in Redaction([secret]).apply(f"{text}{secret}{text}").replace(REDACTED, "\0")


def test_the_longest_of_overlapping_secrets_wins() -> None:
    """A secret that contains another is masked whole."""
    assert Redaction(["abcdefgh", "abcdefgh-and-more"]).apply("x abcdefgh-and-more y") == f"x {REDACTED} y"


def test_short_values_do_not_blot_out_the_text() -> None:
    """An entry such as `1` is no credential; masking it would make every log unreadable."""
    assert Redaction(["1", "", "on"]).apply("1 is on") == "1 is on"
