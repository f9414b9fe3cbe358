"""Runs boot.sh on the host, as root, against scratch directories in place of an image and a volume."""

import atexit
import functools
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TEMPLATES = Path(__file__).parents[3] / "templates"
SHELLS = ("dash", "busybox ash")
AGENT = (10000, 10000)
# All that boot.sh needs but flock.
TOOLS = shlex.split("awk cat chmod chown cmp dirname head id mkdir mktemp mv rm sleep sync tr")

ERAS: Mapping[str, Mapping[str, str]] = {
    "dispatch": {"entrypoint-dispatch": "opt/hermes/docker/entrypoint-dispatch.sh", "init": "init"},
    "s6": {"init": "init", "main-wrapper": "opt/hermes/docker/main-wrapper.sh"},
    "tini": {"tini": "usr/bin/tini", "entrypoint": "opt/hermes/docker/entrypoint.sh"},
}
_RECORD = """#!/bin/sh
printf '%s\\n' "$0" "$@" >"{report}"
umask >>"{report}"
printf %s "$PATH" >"{report}.path"
"""

IDENTITY = '<!-- hermes-fleet:identity -->\nAccount of the family:\n- Family: "Smith"'
CONFIG = "_config_version: 33\n"
ENV = "API_SERVER_KEY=managed-key\nAPI_SERVER_PORT=8642\nOPENROUTER_API_KEY=sk-managed\nTZ=Europe/London\n"


@functools.cache
def busybox_tools() -> str:
    """Return a directory with busybox's own tools; it is made once and lasts as long as the tests."""
    made = tempfile.TemporaryDirectory(prefix="hermes-fleet-busybox-")
    tools = Path(made.name)
    subprocess.run(["busybox", "--install", "-s", tools], check=True)
    if not (tools / "flock").exists():  # Debian builds busybox without it
        (tools / "flock").symlink_to(str(shutil.which("flock")))
    atexit.register(made.cleanup)
    return made.name


@dataclass
class Boot:
    """A scratch container: `data` is its volume, `fleet` its /opt/fleet, `root` the rest of its image.

    The image of busybox has no other tools than busybox's own.
    """

    directory: Path
    shell: str = "dash"
    era: str = "tini"
    identity: str = IDENTITY
    config: str = CONFIG
    env: str = ENV

    def __post_init__(self) -> None:
        """Lay out the image and our files; the volume is a fresh one that root owns."""
        self.data, self.fleet, self.root = (self.directory / name for name in ("data", "fleet", "root"))
        self.report = self.directory / "report"
        self.data.mkdir(parents=True)
        self.path = os.environ["PATH"]
        if self.shell.startswith("busybox"):
            self.path = busybox_tools()
        self.fleet.mkdir()
        shutil.copy(TEMPLATES / "boot.sh", self.fleet)
        self.write_uploads()
        for place in ERAS[self.era].values():
            program = self.root / place
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(_RECORD.format(report=self.report))
            program.chmod(0o755)

    def write_uploads(self) -> None:
        """Write what Pulumi uploads beside boot.sh."""
        for name, content in (("config.yaml", self.config), ("MEMORY.md", self.identity), ("env", self.env)):
            (self.fleet / name).write_text(content, encoding="utf-8", newline="")
            (self.fleet / name).chmod(0o600)

    def start(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Boot once and return how it went."""
        env = {
            "PATH": self.path,
            "HERMES_HOME": str(self.data),
            "FLEET_ROOT": str(self.root),
            **environment,
        }
        self.report.unlink(missing_ok=True)
        program, *arguments = shlex.split(self.shell)
        command = [str(shutil.which(program)), *arguments, str(self.fleet / "boot.sh")]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)

    def boot(self, **environment: str) -> None:
        """Boot and expect it to reach the image's entry point."""
        done = self.start(**environment)
        assert done.returncode == 0, done.stderr
        assert self.report.exists(), done.stderr

    def refused(self, **environment: str) -> str:
        """Boot, expect it to stop before the image's entry point, and return what it said."""
        done = self.start(**environment)
        assert done.returncode == 1
        assert not self.report.exists()
        assert "hermes-fleet boot: " in done.stderr
        return done.stderr

    def handed_over(self) -> list[str]:
        """Return program and arguments that took over, the program as a path inside the image."""
        return self.report.read_text().replace(str(self.root), "").split("\n")[:-2]

    def path_handed_over(self) -> str:
        """Return the search path of what took over."""
        return self.report.with_name("report.path").read_text()

    def agent_writes(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        """Write a file of the volume as the agent would have."""
        file = self.data / name
        for parent in reversed(file.relative_to(self.data).parents[:-1]):
            directory = self.data / parent
            if not directory.exists():
                directory.mkdir()
                os.chown(directory, *AGENT)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.chown(file, *AGENT)
        file.chmod(mode)
        return file

    def read(self, name: str) -> str:
        """Return a file of the volume, byte for byte as text."""
        return (self.data / name).read_bytes().decode()

    def facts(self, name: str) -> tuple[int, int, str]:
        """Return owner, group and mode of a file of the volume."""
        found = (self.data / name).lstat()
        return found.st_uid, found.st_gid, oct(stat.S_IMODE(found.st_mode))

    def unfinished(self) -> list[Path]:
        """Return the temporary files that a boot left behind."""
        return list(self.data.rglob(".hermes-fleet.*"))
