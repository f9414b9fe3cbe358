"""The values of a family in their normal form."""

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from fleet.hermes.lines import CHANNELS
from fleet.hermes.toolsets import TOOLSETS
from fleet.registry import Family, Resources, Sleep, Window, load_registry
from fleet.registry.models import Channels, Shared
from tests.support.fleet.registry import family_id, write_registry

ID = "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b11"


def family(**values: Any) -> Family:
    """Return a family with these values."""
    return Family.model_validate({"name": "smith", "id": ID, **values})


def window(**values: Any) -> Window:
    """Return a keep_warm window."""
    return Window.model_validate(values)


def test_a_family_needs_no_more_than_a_name_and_an_id() -> None:
    """Every other value has a default that works."""
    found = family()
    assert (found.timezone, found.language, found.display_name) == ("UTC", "en", "smith")
    assert found.resources == Resources()
    assert (found.resources.memory, found.resources.cpus) == (2048, 1.0)
    assert found.sleep == Sleep()
    assert (found.sleep.idle_after, found.sleep.never, found.sleep.wake_for_cron) == (1800, False, True)
    assert (found.state, found.canary, found.dashboard, found.supervise) == ("active", False, False, True)
    assert found.channels.api_server
    assert found.plugins == ()


@pytest.mark.parametrize("text", [ID, ID.upper(), ID.replace("-", ""), ID.replace("-", "").upper()])
def test_an_id_is_taken_in_any_usual_form(text: str) -> None:
    """Case and dashes do not matter."""
    assert family(id=text).id == UUID(ID)


@pytest.mark.parametrize("text", ["{" + ID + "}", "urn:uuid:" + ID, ID[:-1], ID + "0", ID.replace("-", "", 1), "x", 7])
def test_an_id_in_an_unusual_form_is_refused(text: object) -> None:
    """Only the two usual forms are valid, so that a search for the id finds the family."""
    with pytest.raises(ValidationError, match="is not a UUID"):
        family(id=text)


@pytest.mark.parametrize("name", ["a", "0", "a-b", "the-smiths-2", "a" * 40])
def test_a_slug_is_good_for_commands_and_routes(name: str) -> None:
    """Lowercase letters, digits and inner dashes, up to 40 of them."""
    assert family(name=name).name == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a b", "ä", "a\n", "a" * 41, "a/b", "."])
def test_anything_else_is_no_slug(name: str) -> None:
    """Names that could break a route, a command or a label are refused."""
    with pytest.raises(ValidationError, match="is not a name"):
        family(name=name)


@pytest.mark.parametrize("name", [ID, ID.replace("-", "")])
def test_an_id_is_no_slug(name: str) -> None:
    """Commands and routes take both, so a name must not be another family's id."""
    with pytest.raises(ValidationError, match="has the form of an id, which commands could take for another family's"):
        family(name=name)
    assert family(name=ID[:-1]).name == ID[:-1]


@pytest.mark.parametrize(
    ("text", "seconds"), [(90, 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1d1h1m1s", 90061)]
)
def test_a_time_is_seconds_or_written_with_units(text: object, seconds: int) -> None:
    """An integer is seconds; a string has days, hours, minutes and seconds, in that order."""
    assert family(sleep={"idle_after": text}).sleep.idle_after == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "1m1h", "1.5h", "1 h", "-1m", "\u0661h", 0, -1, 1.5, True, None, "367d"]
)
def test_anything_else_is_no_time(text: object) -> None:
    """Strings without units, parts in another order and durations out of range are refused."""
    with pytest.raises(ValidationError):
        family(sleep={"idle_after": text})


@pytest.mark.parametrize(("text", "mebibytes"), [("256m", 256), ("2g", 2048), ("512M", 512), ("1G", 1024)])
def test_memory_is_held_in_mebibytes(text: str, mebibytes: int) -> None:
    """The file says m or g, the model MiB."""
    assert family(resources={"memory": text}).resources.memory == mebibytes


@pytest.mark.parametrize(
    ("text", "tag"), [("DE", "de"), ("pt-br", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW"), ("en", "en")]
)
def test_a_language_tag_gets_its_usual_case(text: str, tag: str) -> None:
    """The agent reads one form for any case in the file."""
    assert family(language=text).language == tag


def test_the_plugins_of_a_family_are_its_channels_without_the_api() -> None:
    """Enabled channels from the plugins directory, in a fixed order."""
    channels = {"twilio_whatsapp": {"number": "+442079460018"}, "sudo_chat": True, "sudo_voice": False}
    assert family(channels=channels).plugins == ("sudo_chat", "twilio_whatsapp")


def test_the_channels_are_the_same_everywhere() -> None:
    """The registry and the stack's config know the same channels."""
    assert set(Channels.model_fields) == {"api_server", *CHANNELS}


def test_each_channel_may_name_the_toolsets_of_its_plugin() -> None:
    """A plugin's own toolset and Hermes' name for its platform are known."""
    for channel in CHANNELS:
        assert {channel, f"hermes-{channel}"} <= TOOLSETS
    assert family(toolsets=["mcp-home", "web"]).toolsets == ("mcp-home", "web")


def test_a_family_cannot_be_changed() -> None:
    """A loaded family is immutable."""
    with pytest.raises(ValidationError, match="frozen"):
        family().name = "jones"  # type: ignore[misc]


def test_all_a_family_inherits_may_stand_in_the_defaults() -> None:
    """Only identity and canary belong to a family alone."""
    assert set(Family.model_fields) - set(Shared.model_fields) == {"name", "id", "display_name", "canary"}


MONDAY, TUESDAY, SUNDAY = 5, 6, 4


@pytest.mark.parametrize(
    ("day", "time", "covered"),
    [
        (MONDAY, "06:59", False),
        (MONDAY, "07:00", True),
        (MONDAY, "08:59", True),
        (MONDAY, "09:00", False),
        (TUESDAY, "08:00", False),
    ],
)
def test_a_window_holds_from_its_start_up_to_its_end(day: int, time: str, covered: bool) -> None:
    """The start is inside, the end is not, other days are not."""
    assert window(days=["mon"], **{"from": "07:00", "to": "09:00"}).covers(at(day, time)) is covered


@pytest.mark.parametrize(
    ("day", "time", "covered"),
    [
        (SUNDAY, "23:00", False),
        (MONDAY, "01:00", False),
        (MONDAY, "22:00", True),
        (TUESDAY, "01:59", True),
        (TUESDAY, "02:00", False),
        (TUESDAY, "22:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_starts_on(day: int, time: str, covered: bool) -> None:
    """Monday's night goes on into Tuesday morning."""
    assert window(days=["mon"], **{"from": "22:00", "to": "02:00"}).covers(at(day, time)) is covered


def test_sundays_night_goes_on_into_monday() -> None:
    """A window may go over the end of the week."""
    assert window(days=["sun"], **{"from": "22:00", "to": "02:00"}).covers(at(MONDAY, "01:00"))


def test_a_window_without_days_opens_every_day_and_may_last_all_day() -> None:
    """00:00 to 24:00 is the whole day, each day of the week."""
    all_day = window(**{"from": "00:00", "to": "24:00"})
    assert all(all_day.covers(at(day, time)) for day in range(1, 8) for time in ("00:00", "12:34", "23:59"))


def at(day: int, time: str) -> datetime:
    """Return a time in the week of Monday 5 January 2026."""
    return datetime.fromisoformat(f"2026-01-{day:02}T{time}:00")


def test_a_family_is_found_by_name_and_by_id(tmp_path: Path) -> None:
    """Commands take the slug or the UUID, in any usual form."""
    registry = load_registry(write_registry(tmp_path / "families.yaml", 3))
    for key in ("family-1", str(family_id(1)), family_id(1).hex, family_id(1).hex.upper()):
        assert registry.get(key).name == "family-1"
    with pytest.raises(KeyError):
        registry.get("family-9")
