"""YAML is read without loss and without guesses, and no input crashes or stalls the reader."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import FleetError
from fleet.registry import load_text, reader
from fleet.registry.reader import AmbiguousError, Place, parse, plain, read_text
from tests.support.fleet.registry import problems_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SNIPPETS = st.lists(
    st.sampled_from(
        [
            *["families", "defaults", "name", "id", "env", "config", "sleep", "keep_warm", ":", ": ", "- ", "? ", "\n"],
            *["\n  ", "\n    ", "[", "]", "{", "}", ",", "&a ", "*a", "<<: ", "!!int ", "!x ", "|\n", ">-\n", '"', "'"],
            *["---\n", "...\n", "#", "%YAML 1.2\n", "\t", "\r\n", "\ufeff", "\x00", "\x85", "~", "1e3", "0o7", "12:30"],
            *["3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b11", "'\\ud800'", '"\\ud83d"', "é", "😀", "\u2028", "@", "`", "\\"],
        ]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("false", False), ("0", 0), ("12", 12), ("-3", -3),
        ("1.5", 1.5), ("-0.25", -0.25), ("a", "a"), ("07:00", "07:00"), ("30m", "30m"), ("2g", "2g"), ("a: b", "a: b"),
        ("y", "y"), ("n", "n"), ("nope", "nope"), ("1.2.3", "1.2.3"), ("3f0c8a52-6a0e-4f57", "3f0c8a52-6a0e-4f57"),
    ],
)  # fmt: skip
def test_what_is_plain_to_all_readers_is_read(text: str, value: object) -> None:
    """Null, true and false, decimal numbers and plain strings need no quotes."""
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "007", "0x1F", "0o17", "0b1", "1_000", "1e3", "1.", ".5", "+1", "12:30", "1:2:3", "yes", "No", "ON", "off",
        "2026-01-01", "2026-01-01T10:00:00Z", ".inf", "-.INF", ".nan", "=", "1" * 19,
    ],
)  # fmt: skip
def test_what_readers_may_take_for_something_else_must_be_quoted(text: str) -> None:
    """Octal and sexagesimal numbers, dates, the many forms of yes: refused."""
    with pytest.raises(AmbiguousError, match="quote it"):
        plain(text)


@given(VALUES)
@settings(deadline=None)
def test_all_that_yaml_can_hold_is_read_as_it_was_written(value: Any) -> None:
    """Any quoted string, key and nesting that a YAML writer produces is read back the same."""
    text = yaml.dump({"value": value}, Dumper=yaml.SafeDumper, allow_unicode=True, default_style='"')
    quoted = text.replace('!!null "null"', "null").replace("!!bool ", "").replace("!!int ", "")
    found = parse(quoted, "f")
    assert not found.findings
    assert found.value == {"value": _quoted_scalars(value)}


def _quoted_scalars(value: Any) -> Any:
    """Return a value as a writer that quotes every scalar writes it."""
    if isinstance(value, dict):
        return {key: _quoted_scalars(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_quoted_scalars(inner) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else value


def loads_or_says_why(text: str) -> None:
    """Load a registry from a string. It may fail only with a FleetError whose problems all have a place."""
    for problem in problems_of(text):
        assert problem.startswith("families.yaml:")
        assert "\n" not in problem


@given(SNIPPETS)
@settings(deadline=None)
def test_no_text_breaks_the_loader(text: str) -> None:
    """Any text loads, or fails with problems of one line that have a place."""
    loads_or_says_why(text)


@given(st.dictionaries(st.sampled_from(["defaults", "families", "x"]), VALUES), VALUES)
@settings(deadline=None)
def test_no_value_in_no_place_breaks_the_loader(top: dict[str, Any], value: Any) -> None:
    """A value of the wrong type is a problem, never a crash."""
    keys = ["name", "id", "members", "channels", "env", "config", "account", "sleep", "toolsets"]
    top.setdefault("families", [dict.fromkeys(keys, value), value])
    loads_or_says_why(yaml.safe_dump(top, allow_unicode=True))


@pytest.mark.parametrize(
    "text", ["families: " + "[" * 100_000, "- " * 100_000 + "a", "? " * 100_000, "? " + "[" * 100_000]
)
def test_deep_nesting_is_refused(text: str) -> None:
    """Nesting that would overflow the stack ends in a message."""
    with pytest.raises(FleetError, match="is nested deeper than 50 levels"):
        load_text(text, Path("families.yaml"))


def test_a_value_may_be_given_by_an_alias() -> None:
    """Anchors and aliases work; a mistake in an aliased value is shown at the anchor."""
    text = "defaults: {env: &e {CITY: Rome}}\nfamilies:\n- {name: a, id: %s, env: *e}\n"
    registry = load_text(text % "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b11", Path("f"))
    assert registry.families[0].env == {"CITY": "Rome"}


def test_aliases_of_aliases_cannot_fill_the_memory() -> None:
    """Values behind aliases are counted and limited, so that a billion of them is refused at once."""
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(FleetError, match="the aliases stand for over 1000000 values"):
        load_text("families: []\n" + "\n".join(layers), Path("f"))


def test_it_works_without_libyaml_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's Python parser gives the same values, findings and places as its C parser."""
    text = "families:\n  - {name: 007, id: x, a: 1, a: 2}\n"
    fast = parse(text, "f")
    places = [fast.place(("families", 0, "id")), fast.place(("families", 0, "name"), "key")]
    monkeypatch.setattr(reader, "PARSER", yaml.SafeLoader)
    slow = parse(text, "f")
    assert (slow.value, slow.findings) == (fast.value, fast.findings)
    assert [slow.place(("families", 0, "id")), slow.place(("families", 0, "name"), "key")] == places


def test_places_count_characters_not_bytes() -> None:
    """Columns are those of an editor, also after characters outside ASCII."""
    assert parse('é: "ü😀"\nb: {ß: 1}', "f").place(("b", "ß")) == Place(2, 8)


def test_a_byte_order_mark_and_windows_line_ends_are_harmless() -> None:
    """Files of Windows editors load, with the right places."""
    found = parse("\ufefffamilies: []\r\nfoo: 1\r\n", "f")
    assert found.value == {"families": [], "foo": 1}
    assert found.place(("foo",), "key") == Place(2, 1)


def test_a_file_in_another_encoding_is_refused_with_the_place(tmp_path: Path) -> None:
    """The message has the place of the first byte that is not UTF-8."""
    path = tmp_path / "families.yaml"
    path.write_bytes(b"families: []\n# Garc\xeda\n")
    with pytest.raises(FleetError, match=r"families.yaml:2:7: is not UTF-8; save the file as UTF-8"):
        read_text(path)
