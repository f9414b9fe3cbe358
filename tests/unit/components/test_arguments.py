"""A fleet's arguments are the stack config's keys, and its errors name them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import FleetArguments
from components.arguments import name_arguments, settings_from
from fleet.errors import FleetError
from fleet.settings import KEYS

GIVEN: FleetArguments = {
    "registry": "families.yaml",
    "image": "hermes:1",
    "hermes_line": "0.19",
    "llm": {"provider": "custom", "model": "m", "base_url": "https://llm.example/v1"},
    "llm_api_key": "sk-planted-key",
    "master_key": "m" * 32,
    "plugins_dir": "/srv/plugins",
}


def problems(**changed: Any) -> list[str]:
    """Return the lines of the error about invalid arguments."""
    with pytest.raises(FleetError) as caught:
        settings_from("prod", {**GIVEN, **changed})
    return name_arguments("prod", str(caught.value)).splitlines()


def test_arguments_are_read_as_the_stacks_config_is() -> None:
    """The name is the stack's, the registry is found from where the program runs, objects stay objects."""
    read = settings_from("prod", GIVEN)
    assert (read.stack, read.registry, read.llm.base_url) == (
        "prod",
        Path.cwd() / "families.yaml",
        "https://llm.example/v1",
    )


def test_every_key_of_the_stacks_config_is_an_argument() -> None:
    """A new key is not forgotten."""
    named = {
        "".join([first, *(word.title() for word in rest)]) for first, *rest in _words(FleetArguments.__annotations__)
    }
    assert named == set(KEYS)


def _words(names: Mapping[str, object]) -> list[list[str]]:
    return [name.split("_") for name in names]


def test_an_unknown_argument_is_named_with_the_near_one() -> None:
    """As with the registry's keys."""
    assert problems(imgae="x") == ['Fleet("prod").imgae: is not an argument; did you mean image?']


def test_an_output_is_named_with_what_to_give_instead() -> None:
    """Digests are computed before anything is declared."""
    (line,) = problems(env={"TOKEN": pulumi.Output.__new__(pulumi.Output)})
    assert line.startswith('Fleet("prod").env: is an Output')
    assert "pulumi.Config().require" in line


def test_problems_name_arguments_and_no_config_keys() -> None:
    """All at once, and without commands that set a config which this program does not have."""
    lines = problems(plugins_dir="plugins", llm={"provider": "custom", "model": "m"}, master_key="short")
    assert [line.partition(": ")[0] for line in sorted(lines)] == [
        'Fleet("prod").llm.base_url',
        'Fleet("prod").master_key',
        'Fleet("prod").plugins_dir',
    ]
    assert not any("hermes-fleet:" in line or "pulumi config" in line for line in lines)


def test_an_argument_of_none_is_not_given() -> None:
    """`pulumi.Config().get` returns it for a key that is not set."""
    assert settings_from("prod", GIVEN | {"master_key_previous": None}).master_key_previous is None
    (line,) = problems(image=None)
    assert line.startswith('Fleet("prod").image: is missing')
    assert "pulumi config" not in line
