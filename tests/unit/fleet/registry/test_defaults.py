"""Defaults apply to every family; their problems are reported once, at their own place."""

from pathlib import Path

import pytest

from fleet.registry import load_registry
from fleet.registry.loader import merge
from tests.support.fleet.registry import problems_of, write_registry


def test_a_familys_own_values_win(tmp_path: Path) -> None:
    """Mappings are merged key by key at any depth, lists and single values are replaced."""
    defaults = {
        "timezone": "Europe/Rome",
        "toolsets": ["web", "memory"],
        "channels": {"sudo_chat": True, "twilio_whatsapp": {"number": "+442079460018"}},
        "config": {"display": {"language": "it", "skin": "plain"}},
        "env": {"CITY": "Rome", "LAND": "IT"},
        "sleep": {"idle_after": "1h", "keep_warm": [{"from": "07:00", "to": "08:00"}]},
    }
    path = write_registry(
        tmp_path / "families.yaml",
        1,
        defaults,
        timezone=None,
        toolsets=["todo"],
        channels={"sudo_voice": True},
        config={"display": {"language": "de"}},
        env={"CITY": "Bonn"},
        sleep={"keep_warm": []},
    )
    (family,) = load_registry(path).families
    assert family.timezone == "Europe/Rome"
    assert family.toolsets == ("todo",)
    assert family.plugins == ("sudo_chat", "sudo_voice", "twilio_whatsapp")
    assert family.config == {"display": {"language": "de", "skin": "plain"}}
    assert family.env == {"CITY": "Bonn", "LAND": "IT"}
    assert (family.sleep.idle_after, family.sleep.keep_warm) == (3600, ())


def test_null_turns_off_what_the_defaults_have_on() -> None:
    """Null overrides the default of a key that may be null."""
    assert merge({"a": {"b": 1}, "c": 2}, {"a": None}) == {"a": None, "c": 2}


def test_merging_changes_neither_side() -> None:
    """Families share the defaults, so a merge must not change them."""
    below, above = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merge(below, above) == {"a": {"b": 1, "c": 2}}
    assert (below, above) == ({"a": {"b": 1}}, {"a": {"c": 2}})


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ("{timezone: Mars}", "1:22: defaults.timezone: 'Mars' is not an IANA time zone"),
        ("{config: {model: x}}", "1:21: defaults.config.model: is set by the fleet and cannot be changed here"),
        (
            "{sleep: {keep_warm: [{from: '07:00'}]}}",
            "1:32: defaults.sleep.keep_warm[0].to: is missing",
        ),
    ],
)
def test_what_is_wrong_with_the_defaults_is_said_once(defaults: str, expected: str) -> None:
    """A mistake in the defaults is one problem for any number of families."""
    families = "".join(f"  - {{name: f{n}, id: 3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b{n:02}}}\n" for n in range(3))
    assert problems_of(f"defaults: {defaults}\nfamilies:\n{families}") == [f"families.yaml:{expected}"]


def test_defaults_are_checked_even_without_families() -> None:
    """The defaults are validated on their own."""
    assert problems_of("defaults: {state: on hold}\nfamilies: []") == [
        "families.yaml:1:19: defaults.state: 'on hold' is not 'active' or 'suspended'"
    ]


def test_what_the_defaults_leave_open_each_family_must_fill() -> None:
    """A key that the defaults' mapping lacks may come from the family; if not, the problem is the family's."""
    ids = ["3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b01", "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b02"]
    text = (
        "defaults: {channels: {twilio_whatsapp: {}}}\nfamilies:\n"
        f"  - {{name: a, id: {ids[0]}, channels: {{twilio_whatsapp: {{number: '+442079460018'}}}}}}\n"
        f"  - {{name: b, id: {ids[1]}}}\n"
    )
    assert problems_of(text) == ["families.yaml:4:5: families[1] (b).channels.twilio_whatsapp.number: is missing"]


def test_a_family_that_overrides_a_bad_default_is_not_blamed() -> None:
    """Only the line of the defaults is reported."""
    text = "defaults: {timezone: Mars}\nfamilies: [{name: a, id: 3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b01, timezone: UTC}]"
    assert problems_of(text) == ["families.yaml:1:22: defaults.timezone: 'Mars' is not an IANA time zone"]


def test_two_thousand_wrong_families_are_all_reported(tmp_path: Path) -> None:
    """Places are looked up in one pass, so many problems take little time."""
    path = write_registry(tmp_path / "families.yaml", 2000, timezone="Mars/Olympus")
    assert len(problems_of(path.read_text())) == 2000
