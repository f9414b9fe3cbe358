"""Hermes reads back every value that is written to `.env`."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.hermes import dotenv
from tests.support.fleet.hermes_env import KNOWN, read

LINE_ENDS = "\n\r\0\v\x1b\x7f"
PIECES = st.sampled_from(['"', "'", "\\", "#", " ", "\t", "$", "{", "}", "${A}", "${A:-b}", "=", "A_B=", *KNOWN])
ENTRY_STARTS = st.sampled_from(KNOWN).map("{}=".format)
VALUES = st.lists(PIECES | ENTRY_STARTS | st.text(max_size=5), max_size=8).map("".join)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", ""),
        ("sk-or-v1_a.b:c/d+e==", "sk-or-v1_a.b:c/d+e=="),
        ("https://host:1/v1?a=b", '"https://host:1/v1?a=b"'),
        ("a b", '"a b"'),
        ("a # b", '"a # b"'),
        (" a ", '" a "'),
        ('say "hi"', r'"say \"hi\""'),
        ("it's", '"it\'s"'),
        ("${HOME}", '"${:-$}{HOME}"'),
        ("$5", '"$5"'),
        ("C:\\", r'"C:${:-\\}"'),
        ("x OPENAI_API_KEY=y", '"x OPENAI_API_KEY${:-=}y"'),
        ("Grüße", '"Grüße"'),
    ],
)
def test_how_values_are_written(value: str, written: str) -> None:
    """Plain where possible, else quoted; interpolation hides what Hermes would split."""
    assert dotenv.quoted(value) == written


@given(name=st.sampled_from(["MINE", "MY_API_KEY", *KNOWN]), value=VALUES)
@example(name="MINE", value="OPENAI_API_KEY=a OPENROUTER_API_KEY=b")
@example(name="OPENAI_API_KEY", value="a\\")
@example(name="MINE", value="\\\\\\")
def test_every_value_that_fits_is_read_back(name: str, value: str) -> None:
    """No value sets another entry, ends early or changes; other values are refused."""
    why = dotenv.unfit(name, value)
    if why is None:
        assert read(f"{name}={dotenv.quoted(value)}") == {name: value}
    else:
        assert not value.isprintable() or not value.isascii()


@pytest.mark.parametrize("character", LINE_ENDS)
def test_line_breaks_and_controls_are_refused(character: str) -> None:
    """An entry is one line."""
    assert "line break" in str(dotenv.unfit("MINE", f"a{character}b"))


def test_keys_and_tokens_must_be_ascii() -> None:
    """Hermes would drop other characters silently, which makes another key."""
    assert "ASCII" in str(dotenv.unfit("MY_API_KEY", "sk-ключ"))
    assert dotenv.unfit("MY_NAME", "ключ") is None


@pytest.mark.parametrize("key", ["a'b", 'a"b', "a\\b", "a${B}", "A_B=c"])
def test_keys_that_hermes_reads_in_two_ways_are_known(key: str) -> None:
    """Its second reader does not know escapes."""
    assert dotenv.ambiguous(key)


@pytest.mark.parametrize("key", ["sk-or-v1-0123", "abc==", "a b", "a#b"])
def test_ordinary_keys_are_not_ambiguous(key: str) -> None:
    """The keys that providers issue are not ambiguous."""
    assert not dotenv.ambiguous(key)
