"""Every input of a container, changed one at a time, replaces it once, and is read back as it was declared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import stub_agent
from tests.support.fleet import FleetUnderTest


def family(**values: Any) -> Callable[[FleetUnderTest], None]:
    """Return a change of the first family's registry entry."""

    def change(fleet: FleetUnderTest) -> None:
        fleet.entry("ash").update(values)
        fleet.write()

    return change


def config(**values: str) -> Callable[[FleetUnderTest], None]:
    """Return a change of the stack's config; `__` stands for a dot."""

    def change(fleet: FleetUnderTest) -> None:
        fleet.stack.configure({key.replace("__", "."): value for key, value in values.items()})

    return change


def other_image(fleet: FleetUnderTest) -> None:
    """Give the first family an image of its own."""
    family(image=stub_agent.build(fleet.client, "2"))(fleet)


def other_plugins(fleet: FleetUnderTest) -> None:
    """Mount another directory of plugins."""
    folder = Path(fleet.folder) / "plugins"
    folder.mkdir(mode=0o755)
    config(pluginsDir=str(folder))(fleet)


ONE_FAMILY = {
    "memory": family(resources={"memory": "300m"}),
    "cpus": family(resources={"cpus": 1.5}),
    "whole cpus": family(resources={"cpus": 2}),
    "image": other_image,
    "env": family(env={"GREETING": "hello"}),
    "config": family(config={"display": {"compact": True}}),
    "toolsets": family(toolsets=["memory", "todo"]),
    "timezone": family(timezone="Asia/Tokyo"),
    "members": family(members=[{"name": "Ann", "role": "parent"}]),
    "dashboard": family(dashboard=True),
    "supervise": family(supervise=False),
}
EVERYONE = {
    "interval": config(health__interval="2"),
    "model": config(llm__model="another"),
    "plugins version": config(pluginsVersion="2"),
    "plugins directory": other_plugins,
}


@pytest.fixture(scope="module")
def pair(docker_client: Any, provider: Any, stub_image: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Yield two sleeping families, which change without a boot."""
    fleet = FleetUnderTest(docker_client, tmp_path_factory.mktemp("inputs"), provider, stub_image)
    fleet.stack.configure({"newFamilies": "asleep"})
    fleet.declare("ash", "birch")
    fleet.up()
    yield fleet
    fleet.clean()


@pytest.mark.parametrize("name", ONE_FAMILY)
def test_an_input_of_one_family_replaces_just_its_container_once(pair: FleetUnderTest, name: str) -> None:
    """One replace and one update of the component that explains it; then silence, also after a refresh."""
    ONE_FAMILY[name](pair)
    run = pair.up()
    assert run.names("replace") == [pair.resource("ash")]
    assert run.changed in ({"replace": 1, "update": 1}, {"replace": 1})
    assert pair.silent(refreshed=True)


@pytest.mark.parametrize("name", EVERYONE)
def test_an_input_of_the_stack_replaces_every_container_once(pair: FleetUnderTest, name: str) -> None:
    """A change for all replaces each once; then silence, also after a refresh."""
    EVERYONE[name](pair)
    assert sorted(pair.up().names("replace")) == sorted(pair.resource(each) for each in ("ash", "birch"))
    assert pair.silent(refreshed=True)


def test_a_preview_shows_the_line_that_changes_and_no_secret(pair: FleetUnderTest) -> None:
    """The component's inputs make readable what the container only calls secret."""
    pair.entry("ash")["timezone"] = "Pacific/Auckland"
    pair.write()
    shown = pair.preview("--diff").text
    assert '=> "Pacific/Auckland"' in shown
    assert "[secret]" in shown
    pair.up()
