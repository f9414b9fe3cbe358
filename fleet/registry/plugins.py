"""Checks the directory of plugins that every container mounts: what is needed is there, nobody else can write it."""

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fleet.problems import Problem
from fleet.registry.models import PLUGIN_CHANNELS
from fleet.registry.source import Finding, display_path

_EXAMPLES = 3


def mount_problems(plugins_dir: Path) -> list[Problem]:
    """Return why a directory must not be mounted: it is not there, or others than its owner can write in it.

    Every agent runs the code in it, so who can write it owns every family.
    """
    where = display_path(plugins_dir)
    if not plugins_dir.is_dir():
        what = "is not a directory" if plugins_dir.exists() else "the plugins directory is missing"
        return [Problem(where, f"{what}; make it with: install -d -m 755 {shlex.quote(where)}")]
    loose = sorted(display_path(path) for path in _tree(plugins_dir) if _writable_by_others(path))
    if not loose:
        return []
    more = f" and {len(loose) - _EXAMPLES} more" if len(loose) > _EXAMPLES else ""
    named = ", ".join(loose[:_EXAMPLES]) + more
    mend = f"chmod -R go-w {shlex.quote(where)}"
    return [Problem(where, f"group or others can write {named}, and every agent runs it; mend it with: {mend}")]


def missing(families: Sequence[Any], plugins_dir: Path) -> Iterator[Finding]:
    """Find channels that a family has on and no plugin provides."""
    absent = {name for name in PLUGIN_CHANNELS if not (plugins_dir / name / "plugin.yaml").is_file()}
    for index, raw in enumerate(families if absent else ()):
        channels = raw.get("channels") if isinstance(raw, dict) else None
        if isinstance(channels, dict):
            for name in sorted(absent & channels.keys()):
                if channels[name] is not None and channels[name] is not False:
                    place = display_path(plugins_dir / name / "plugin.yaml")
                    what = f"is on, but its plugin is not there: expected {place}"
                    yield Finding(("families", index, "channels", name), what, "key")


def _tree(top: Path) -> Iterator[Path]:
    yield top
    for directory, directories, names in os.walk(top):
        for name in (*directories, *names):
            yield Path(directory, name)


def _writable_by_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    except OSError:
        return False
