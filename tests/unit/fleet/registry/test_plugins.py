"""The plugins directory, which every container mounts, must exist, be complete, and be writable by its owner alone."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import FleetError
from fleet.registry import load_registry, load_text
from fleet.registry import plugins as checked
from tests.support.fleet.registry import problems_of, write_registry

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
    """A disabled channel needs no plugin."""
    off = "{sudo_chat: true, sudo_voice: false, twilio_whatsapp: null}"
    assert problems_of(registry(off), plugins) == []


def test_an_enabled_channel_without_its_plugin_is_named(plugins: Path) -> None:
    """The message names the expected file, at the line that enables the channel."""
    on = "{sudo_voice: true, twilio_whatsapp: {number: '+442079460018'}}"
    assert problems_of(registry(on), plugins) == [
        (
            "families.yaml:3:72: families[0] (smith).channels.sudo_voice: is on, but its plugin is missing:"
            f" expected {plugins}/sudo_voice/plugin.yaml"
        ),
        (
            "families.yaml:3:90: families[0] (smith).channels.twilio_whatsapp: is on, but its plugin is missing:"
            f" expected {plugins}/twilio_whatsapp/plugin.yaml"
        ),
    ]


def test_a_channel_that_the_defaults_turn_on_is_shown_there(plugins: Path) -> None:
    """One line in the defaults is one problem, however many families have it."""
    (problem,) = problems_of(registry("{sudo_chat: true}", "{channels: {sudo_voice: true}}"), plugins)
    assert problem.startswith("families.yaml:1:23: defaults.channels.sudo_voice: is on")


def test_without_a_directory_plugins_are_not_checked() -> None:
    """The registry is then checked alone: the directory may be on another machine."""
    assert problems_of(registry("{sudo_voice: true}")) == []


def test_a_missing_directory_is_one_problem(tmp_path: Path) -> None:
    """It is reported once, not per family."""
    path = write_registry(tmp_path / "families.yaml", 3, channels={"sudo_chat": True})
    with pytest.raises(FleetError) as caught:
        load_registry(path, tmp_path / "nowhere")
    where = tmp_path / "nowhere"
    assert str(caught.value) == f"{where}: the plugins directory is missing; fix: install -d -m 755 {where}"


def test_a_file_in_the_place_of_the_directory_is_refused(plugins: Path) -> None:
    """Only a directory can be mounted as one."""
    assert "is not a directory" in problems_of(registry("{}"), plugins / "sudo_chat" / "plugin.yaml")[0]


@pytest.mark.parametrize("which", ["", "sudo_chat", "sudo_chat/plugin.yaml"])
@pytest.mark.parametrize("extra", [0o020, 0o002])
def test_what_others_could_write_is_refused(plugins: Path, which: str, extra: int) -> None:
    """Write access to a plugin is code in every family, so only the owner may have it."""
    path = plugins / which
    path.chmod(path.stat().st_mode | extra)
    assert problems_of(registry("{}"), plugins) == [
        f"{plugins}: group or others can write to {path}, which every agent runs; fix: chmod -R go-w {plugins}"
    ]


def test_many_loose_files_are_one_problem(plugins: Path) -> None:
    """The message has a few examples and one command for all."""
    for number in range(5):
        loose = plugins / f"{number}.py"
        loose.touch()
        loose.chmod(0o666)
    (problem,) = problems_of(registry("{}"), plugins)
    assert "0.py" in problem
    assert "and 2 more" in problem


def test_the_problems_of_the_file_come_with_those_of_the_directory(tmp_path: Path) -> None:
    """All problems come at once, the registry's first."""
    with pytest.raises(FleetError) as caught:
        load_text("families: []\nfoo: 1\n", Path("families.yaml"), tmp_path / "nowhere")
    assert [problem.where for problem in caught.value.problems] == [
        "families.yaml:2:1: foo",
        str(tmp_path / "nowhere"),
    ]


@pytest.mark.parametrize(
    "target", ["../away/sudo_voice", "ABSOLUTE", "../away/missing", "sudo_chat/../../away/sudo_voice"]
)
def test_a_plugin_that_is_a_link_out_of_the_directory_is_refused(plugins: Path, tmp_path: Path, target: str) -> None:
    """The mount has the link without its target, so the channel would not work; the fix is a copy."""
    away = tmp_path / "away" / "sudo_voice"
    shutil.copytree(plugins / "sudo_chat", away)
    link = plugins / "sudo_voice"
    link.symlink_to(str(away) if target == "ABSOLUTE" else target)
    (problem,) = problems_of(registry("{sudo_voice: true}"), plugins)
    assert problem == (
        f"{plugins}: links lead out of the directory, to files that no container has: {link};"
        f" fix: cp -rL {link} {link}.copy && rm {link} && mv {link}.copy {link}"
    )


def test_a_file_deep_inside_that_is_a_link_out_is_refused(plugins: Path, tmp_path: Path) -> None:
    """Its target is not in the mount, so its mode does not matter."""
    away = tmp_path / "plugin.yaml"
    away.write_text("name: sudo_chat\n")
    away.chmod(0o666)
    (plugins / "sudo_chat" / "plugin.yaml").unlink()
    (plugins / "sudo_chat" / "plugin.yaml").symlink_to("../../plugin.yaml")
    (problem,) = problems_of(registry("{sudo_chat: true}"), plugins)
    assert f"no container has: {plugins}/sudo_chat/plugin.yaml; fix: cp -rL" in problem


def test_a_link_that_leads_out_by_another_link_is_refused(plugins: Path) -> None:
    """Links are resolved step by step, as the system does."""
    (plugins / "here").symlink_to(".")
    (plugins / "sudo_voice").symlink_to("here/../away")
    (problem,) = problems_of(registry("{sudo_voice: true}"), plugins)
    assert f"no container has: {plugins}/sudo_voice;" in problem


@pytest.mark.parametrize("target", ["ABSOLUTE", "../plugins/sudo_chat"])
def test_a_link_that_only_the_place_of_the_directory_keeps_inside_is_refused(plugins: Path, target: str) -> None:
    """In a container the directory has another path and name."""
    link = plugins / "sudo_voice"
    link.symlink_to(str(plugins / "sudo_chat") if target == "ABSOLUTE" else target)
    assert f"no container has: {link};" in problems_of(registry("{sudo_voice: true}"), plugins)[0]


def test_a_relative_link_that_stays_inside_is_fine(plugins: Path, tmp_path: Path) -> None:
    """It has the same target in the container, also where the directory itself is a link."""
    (plugins / "sudo_voice").symlink_to("sudo_chat")
    (plugins / "sudo_chat" / "same.yaml").symlink_to("../sudo_voice/plugin.yaml")
    (plugins / "nothing").symlink_to("nowhere")
    (plugins / "loop").symlink_to("loop")
    (tmp_path / "current").symlink_to("plugins")
    for directory in (plugins, tmp_path / "current"):
        assert problems_of(registry("{sudo_chat: true, sudo_voice: true}"), directory) == []


def test_loose_files_and_links_out_are_said_at_once(plugins: Path) -> None:
    """The mode of a link itself does not matter."""
    (plugins / "sudo_chat").chmod(0o777)
    (plugins / "sudo_voice").symlink_to("/nowhere")
    loose, links = problems_of(registry("{}"), plugins)
    assert f"group or others can write to {plugins}/sudo_chat, which" in loose
    assert f"no container has: {plugins}/sudo_voice;" in links


@pytest.fixture(name="close")
def close_a_directory(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that closes a directory to this user, also to root, which no mode keeps out."""

    def close(directory: Path) -> None:
        def guarded(name: str, *, itself: bool) -> Callable[..., Any]:
            real = getattr(os, name)

            def call(path: Any = ".", *args: Any, **more: Any) -> Any:
                at = None if isinstance(path, int) else Path(path)
                if at and (directory in at.parents or (itself and at == directory)):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
                return real(path, *args, **more)

            return call

        for name in ("stat", "lstat", "scandir"):
            monkeypatch.setattr(os, name, guarded(name, itself=name == "scandir"))
        monkeypatch.setattr(os, "access", lambda path, _: Path(path) != directory)

    return close


@pytest.mark.parametrize("which", ["", "sudo_chat"])
def test_a_directory_that_this_user_may_not_enter_is_a_problem(
    plugins: Path, which: str, close: Callable[[Path], None]
) -> None:
    """The message has the path and the command that opens it; problems of the registry are reported too."""
    close(plugins / which)
    bad = registry("{sudo_chat: true}") + "foo: 1\n"
    of_the_file, of_the_directory = problems_of(bad, plugins)
    assert of_the_file.startswith("families.yaml:4:1: foo")
    assert of_the_directory == (
        f"{plugins}: this user cannot read {plugins / which}; fix: sudo chmod -R a+rX {plugins}"
    )


def test_a_directory_below_one_that_this_user_may_not_enter_is_a_problem(
    plugins: Path, close: Callable[[Path], None]
) -> None:
    """The message names the closed parent directory."""
    above = plugins.parent.parent
    close(above)
    assert problems_of(registry("{}"), plugins) == [
        f"{plugins}: this user cannot read {above}; fix: sudo chmod a+x {above}"
    ]


def test_a_plugin_that_this_user_may_not_see_counts_as_missing(plugins: Path, close: Callable[[Path], None]) -> None:
    """There is no traceback."""
    close(plugins / "sudo_chat")
    (finding,) = checked.missing([{"channels": {"sudo_chat": True}}], plugins)
    assert "its plugin is missing" in finding.what


def test_a_directory_that_cannot_be_read_for_another_reason_is_a_problem(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the system's words."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "scandir", fail)
    assert problems_of(registry("{}"), plugins) == [f"{plugins}: cannot be read: Input/output error"]


def test_a_file_that_goes_away_during_the_look_is_no_problem(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python replaces its bytecode files at any time."""
    real = os.walk

    def walk(*args: Any, **more: Any) -> Any:
        for directory, directories, names in real(*args, **more):
            yield directory, directories, [*names, "gone.pyc"]

    monkeypatch.setattr(os, "walk", walk)
    assert problems_of(registry("{}"), plugins) == []
