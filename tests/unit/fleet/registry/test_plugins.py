"""The plugins directory is mounted into every container: it must be there, complete, and nobody else's to write."""

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
    """What is on is there; what is off need not be."""
    off = "{sudo_chat: true, sudo_voice: false, twilio_whatsapp: null}"
    assert problems_of(registry(off), plugins) == []


def test_an_enabled_channel_without_its_plugin_is_named(plugins: Path) -> None:
    """The message says which file was expected, at the line that turns the channel on."""
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
    """Where the directory lies on another machine, the registry is checked alone."""
    assert problems_of(registry("{sudo_voice: true}")) == []


def test_a_missing_directory_is_one_problem(tmp_path: Path) -> None:
    """The directory is asked for once, not once per family."""
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
    """Whoever writes a plugin runs code in every family, so the directory and all in it are their owner's alone."""
    path = plugins / which
    path.chmod(path.stat().st_mode | extra)
    assert problems_of(registry("{}"), plugins) == [
        f"{plugins}: group or others can write to {path}, which every agent runs; fix: chmod -R go-w {plugins}"
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


@pytest.mark.parametrize(
    "target", ["../away/sudo_voice", "ABSOLUTE", "../away/missing", "sudo_chat/../../away/sudo_voice"]
)
def test_a_plugin_that_is_a_link_out_of_the_directory_is_refused(plugins: Path, tmp_path: Path, target: str) -> None:
    """The mount carries the link and not what it points at, so the channel would be dead; the mend is a copy."""
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
    """Who could write the file behind it is not asked: it is not in the mount."""
    away = tmp_path / "plugin.yaml"
    away.write_text("name: sudo_chat\n")
    away.chmod(0o666)
    (plugins / "sudo_chat" / "plugin.yaml").unlink()
    (plugins / "sudo_chat" / "plugin.yaml").symlink_to("../../plugin.yaml")
    (problem,) = problems_of(registry("{sudo_chat: true}"), plugins)
    assert f"no container has: {plugins}/sudo_chat/plugin.yaml; fix: cp -rL" in problem


def test_a_link_that_leads_out_by_another_link_is_refused(plugins: Path) -> None:
    """What a link says is read as the system reads it, step by step."""
    (plugins / "here").symlink_to(".")
    (plugins / "sudo_voice").symlink_to("here/../away")
    (problem,) = problems_of(registry("{sudo_voice: true}"), plugins)
    assert f"no container has: {plugins}/sudo_voice;" in problem


@pytest.mark.parametrize("target", ["ABSOLUTE", "../plugins/sudo_chat"])
def test_a_link_that_only_the_place_of_the_directory_keeps_inside_is_refused(plugins: Path, target: str) -> None:
    """In a container the directory is at another path, where its name need not be the same."""
    link = plugins / "sudo_voice"
    link.symlink_to(str(plugins / "sudo_chat") if target == "ABSOLUTE" else target)
    assert f"no container has: {link};" in problems_of(registry("{sudo_voice: true}"), plugins)[0]


def test_a_relative_link_that_stays_inside_is_fine(plugins: Path, tmp_path: Path) -> None:
    """It means the same in the container, and so does the directory where that itself is a link."""
    (plugins / "sudo_voice").symlink_to("sudo_chat")
    (plugins / "sudo_chat" / "same.yaml").symlink_to("../sudo_voice/plugin.yaml")
    (plugins / "nothing").symlink_to("nowhere")
    (plugins / "loop").symlink_to("loop")
    (tmp_path / "current").symlink_to("plugins")
    for directory in (plugins, tmp_path / "current"):
        assert problems_of(registry("{sudo_chat: true, sudo_voice: true}"), directory) == []


def test_loose_files_and_links_out_are_said_at_once(plugins: Path) -> None:
    """What a link's own mode says counts for nothing."""
    (plugins / "sudo_chat").chmod(0o777)
    (plugins / "sudo_voice").symlink_to("/nowhere")
    loose, links = problems_of(registry("{}"), plugins)
    assert f"group or others can write to {plugins}/sudo_chat, which" in loose
    assert f"no container has: {plugins}/sudo_voice;" in links


@pytest.fixture(name="close")
def close_a_directory(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what closes a directory to this user, whoever that is: no mode keeps root out."""

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
    """It is said where, with the command that opens it, and what is wrong with the registry is said as well."""
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
    """The one that is closed is named, wherever it stands above."""
    above = plugins.parent.parent
    close(above)
    assert problems_of(registry("{}"), plugins) == [
        f"{plugins}: this user cannot read {above}; fix: sudo chmod a+x {above}"
    ]


def test_a_plugin_that_this_user_may_not_see_counts_as_missing(plugins: Path, close: Callable[[Path], None]) -> None:
    """The search for channels without a plugin does not end in a traceback."""
    close(plugins / "sudo_chat")
    (finding,) = checked.missing([{"channels": {"sudo_chat": True}}], plugins)
    assert "its plugin is missing" in finding.what


def test_a_directory_that_cannot_be_read_for_another_reason_is_a_problem(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing disk is told in the words of the system."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "scandir", fail)
    assert problems_of(registry("{}"), plugins) == [f"{plugins}: cannot be read: Input/output error"]


def test_a_file_that_goes_away_during_the_look_is_no_problem(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python replaces its bytecode while others run it."""
    real = os.walk

    def walk(*args: Any, **more: Any) -> Any:
        for directory, directories, names in real(*args, **more):
            yield directory, directories, [*names, "gone.pyc"]

    monkeypatch.setattr(os, "walk", walk)
    assert problems_of(registry("{}"), plugins) == []
