"""Checks of the plugins directory, which every container mounts: complete, and writable by its owner alone."""

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fleet.errors import Problem
from fleet.hermes.lines import CHANNELS
from fleet.registry.reader import Finding, display_path

_EXAMPLES = 3
# The user of the upstream image.
_AGENT = 10000


def mount_problems(plugins_dir: Path) -> list[Problem]:
    """Return why a directory must not be mounted: it is missing, others can write to it, or a link leads out of it.

    Every agent runs the code in it, so write access to it is access to every family. A link is mounted as a link: its
    target outside of the directory is not in the container.
    """
    where = display_path(plugins_dir)
    try:
        if not plugins_dir.is_dir():
            what = "is not a directory" if plugins_dir.exists() else "the plugins directory is missing"
            return [Problem(where, f"{what}; fix: install -d -m 755 {shlex.quote(where)}")]
        modes = {path: status.st_mode for path, status in sorted(_tree(plugins_dir))}
        loose = [path for path, mode in modes.items() if mode & 0o022 and not stat.S_ISLNK(mode)]
        leaving = [path for path, mode in modes.items() if stat.S_ISLNK(mode) and _leads_out(path, plugins_dir)]
    except OSError as error:
        return [_unreadable(plugins_dir, error)]
    problems = []
    if loose:
        what = f"group or others can write to {_named(loose)}, which every agent runs"
        problems.append(Problem(where, f"{what}; fix: chmod -R go-w {shlex.quote(where)}"))
    if leaving:
        link = shlex.quote(display_path(leaving[0]))
        what = f"links lead out of the directory, to files that no container has: {_named(leaving)}"
        fix = f"cp -rL {link} {link}.copy && rm {link} && mv {link}.copy {link}"
        problems.append(Problem(where, f"{what}; fix: {fix}"))
    return problems


def closed_to_agents(plugins_dir: Path) -> str | None:
    """Return what agents cannot read in the plugins directory, with the fix, or None where they can read all of it.

    Hermes skips a plugin that it cannot read without a message. This is no error: another image may use another user.
    """
    closed: list[Path] = []
    with suppress(OSError):
        closed = [path for path, status in sorted(_tree(plugins_dir)) if _is_closed(status)]
    if not closed:
        return None
    fix = f"chmod -R a+rX {shlex.quote(display_path(plugins_dir))}"
    return f"agents run as user {_AGENT} and cannot read {_named(closed)}; fix: {fix}"


def missing(families: Sequence[Any], plugins_dir: Path) -> Iterator[Finding]:
    """Find enabled channels without a plugin."""
    absent = {name for name in CHANNELS if not os.path.isfile(plugins_dir / name / "plugin.yaml")}  # noqa: PTH113 - Path.is_file raises for some errors
    for index, raw in enumerate(families if absent else ()):
        channels = raw.get("channels") if isinstance(raw, dict) else None
        if isinstance(channels, dict):
            for name in sorted(absent & channels.keys()):
                if channels[name] is not None and channels[name] is not False:
                    expected = display_path(plugins_dir / name / "plugin.yaml")
                    what = f"is on, but its plugin is missing: expected {expected}"
                    yield Finding(("families", index, "channels", name), what, "key")


def _tree(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield a directory and all paths in it with their status, of a link its own. What has just gone is skipped."""
    yield top, top.stat()
    for directory, directories, names in os.walk(top, onerror=_unless_gone):
        for name in (*directories, *names):
            path = Path(directory, name)
            with suppress(FileNotFoundError):
                yield path, path.lstat()


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_closed(status: os.stat_result) -> bool:
    wanted = 0o5 if stat.S_ISDIR(status.st_mode) else 0o4
    is_readable = status.st_mode & wanted == wanted or status.st_uid == _AGENT
    return not is_readable and not stat.S_ISLNK(status.st_mode)


def _leads_out(link: Path, plugins_dir: Path) -> bool:
    """Tell whether a link leads out of the directory, and so is broken in a container.

    A link that comes back by the directory's name (`../plugins/x`) leads out too: the container's mount has another
    name.
    """
    written = Path(os.path.normpath(link.parent.relative_to(plugins_dir) / link.readlink()))
    leaves = written.is_absolute() or ".." in written.parts
    return leaves or not Path(os.path.realpath(link)).is_relative_to(plugins_dir.resolve())


def _named(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _EXAMPLES} more" if len(paths) > _EXAMPLES else ""
    return ", ".join(display_path(path) for path in paths[:_EXAMPLES]) + more


def _unreadable(plugins_dir: Path, error: OSError) -> Problem:
    """Return why the directory cannot be checked, with the command that opens it or the closed directory above it."""
    where = display_path(plugins_dir)
    if not isinstance(error, PermissionError):
        return Problem(where, f"cannot be read: {error.strerror}")
    above = reversed(plugins_dir.resolve().parents)
    closed = next((str(each) for each in above if not os.access(each, os.X_OK)), None)
    fix = f"chmod a+x {shlex.quote(closed)}" if closed else f"chmod -R a+rX {shlex.quote(where)}"
    return Problem(where, f"this user cannot read {closed or error.filename}; fix: sudo {fix}")
