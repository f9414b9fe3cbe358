"""YAML that reads back unchanged with the loader of Hermes, on every machine."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.container import yaml_text

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_how_it_looks() -> None:
    """Mappings in blocks, lists on a line, quotes only where they are needed."""
    value = {"a": {"b": [1, "x y", {"c": None}], "empty": {}}, "on": "yes", "path": "some/model-1.0", "": "3"}
    assert yaml_text.block(value) == (
        'a:\n  b: [1, "x y", {c: null}]\n  empty: {}\n"on": "yes"\npath: some/model-1.0\n"": "3"\n'
    )


@settings(deadline=None)
@given(value=st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
@example(value={"x": ["=", "<<", "1:30", "yes", "~", "é\x85", "\ufeff", "²í\x85", "0x1F", "1e3", "2024-01-01"]})
@example(value={"x" * 200: "y " * 20_000})
@example(value={"a\nb: c": "- d\n...\n---\n# e"})
def test_what_is_written_reads_the_same(value: dict[str, Any]) -> None:
    """In the loader in Python and the one in C."""
    text = yaml_text.block(value)
    assert (yaml.safe_load(text) or {}) == value
    assert (yaml_text.parse(text) or {}) == value


@pytest.mark.parametrize("value", ["\ud83d\ude00", "\udc80"])
def test_what_yaml_cannot_hold_is_refused(value: str) -> None:
    """Half of a surrogate pair is no character."""
    with pytest.raises(ValueError, match="does not survive"):
        yaml_text.flow([value])


def test_types_do_not_run_into_each_other() -> None:
    """True, 1 and 1.0 are equal to Python and not the same to Hermes."""
    assert yaml_text.flow([True, 1, 1.0, "1", "true", None, "null"]) == '[true, 1, 1.0, "1", "true", null, "null"]'
