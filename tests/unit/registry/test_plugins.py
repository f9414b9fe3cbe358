"""The plugins directory is mounted into every container: it must be there, complete, and nobody else's to write."""

from pathlib import Path

import pytest

from fleet.problems import FleetError
from fleet.registry import load_registry, load_text
from tests.support.registry import problems_of, write_registry

ID = "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b11"


@pytest.fixture(name="plugins")
def plugins_directory(tmp_path: Path) -> Path:
    """Return a good plugins directory with the plugin of one channel."""
    plugin = tmp_path / "plugins" / "sudo_chat"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").write_text("name: sudo_chat\n")
    for path in (plugin.parent, plugin, plugin / "plugin.yaml"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return plugin.parent


def registry(channels: str, defaults: str = "{}") -> str:
    """Return a registry with one family that has these channels."""
    return f"defaults: {defaults}\nfamilies:\n  - {{name: smith, id: {ID}, channels: {channels}}}\n"


def test_an_enabled_channel_with_its_plugin_is_fine(plugins: Path) -> None:
    """What is on is there; what is off need not be."""
    off = "{sudo_chat: true, sudo_voice: false, twilio_whatsapp: null}"
    assert problems_of(registry(off), plugins) == []


def test_an_enabled_channel_without_its_plugin_is_named(plugins: Path) -> None:
    """The message says which file was expected, at the line that turns the channel on."""
    on = "{sudo_voice: true, twilio_whatsapp: {number: '+442079460018'}}"
    assert problems_of(registry(on), plugins) == [
        (
            "families.yaml:3:72: families[0] (smith).channels.sudo_voice: is on, but its plugin is not there:"
            f" expected {plugins}/sudo_voice/plugin.yaml"
        ),
        (
            "families.yaml:3:90: families[0] (smith).channels.twilio_whatsapp: is on, but its plugin is not there:"
            f" expected {plugins}/twilio_whatsapp/plugin.yaml"
        ),
    ]


def test_a_channel_that_the_defaults_turn_on_is_shown_there(plugins: Path) -> None:
    """One line in the defaults is one problem, however many families have it."""
    (problem,) = problems_of(registry("{sudo_chat: true}", "{channels: {sudo_voice: true}}"), plugins)
    assert problem.startswith("families.yaml:1:23: defaults.channels.sudo_voice: is on")


def test_without_a_directory_plugins_are_not_checked() -> None:
    """Where the directory lies on another machine, the registry is checked alone."""
    assert problems_of(registry("{sudo_voice: true}")) == []


def test_a_missing_directory_is_one_problem(tmp_path: Path) -> None:
    """The directory is asked for once, not once per family."""
    path = write_registry(tmp_path / "families.yaml", 3, channels={"sudo_chat": True})
    with pytest.raises(FleetError) as caught:
        load_registry(path, tmp_path / "nowhere")
    where = tmp_path / "nowhere"
    assert str(caught.value) == f"{where}: the plugins directory is missing; make it with: install -d -m 755 {where}"


def test_a_file_in_the_place_of_the_directory_is_refused(plugins: Path) -> None:
    """Only a directory can be mounted as one."""
    assert "is not a directory" in problems_of(registry("{}"), plugins / "sudo_chat" / "plugin.yaml")[0]


@pytest.mark.parametrize("which", ["", "sudo_chat", "sudo_chat/plugin.yaml"])
@pytest.mark.parametrize("extra", [0o020, 0o002])
def test_what_others_could_write_is_refused(plugins: Path, which: str, extra: int) -> None:
    """Whoever writes a plugin runs code in every family, so the directory and all in it are their owner's alone."""
    path = plugins / which
    path.chmod(path.stat().st_mode | extra)
    assert problems_of(registry("{}"), plugins) == [
        f"{plugins}: group or others can write {path}, and every agent runs it; mend it with: chmod -R go-w {plugins}"
    ]


def test_many_loose_files_are_one_problem(plugins: Path) -> None:
    """A few examples are enough, one command mends them all."""
    for number in range(5):
        loose = plugins / f"{number}.py"
        loose.touch()
        loose.chmod(0o666)
    (problem,) = problems_of(registry("{}"), plugins)
    assert "0.py" in problem
    assert "and 2 more" in problem


def test_the_problems_of_the_file_come_with_those_of_the_directory(tmp_path: Path) -> None:
    """Everything wrong is said at once, the registry first."""
    with pytest.raises(FleetError) as caught:
        load_text("families: []\nfoo: 1\n", Path("families.yaml"), tmp_path / "nowhere")
    assert [problem.where for problem in caught.value.problems] == [
        "families.yaml:2:1: foo",
        str(tmp_path / "nowhere"),
    ]
