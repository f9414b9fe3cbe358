"""An isolated machine for tests of set-up scripts: a copy of the repository, and a PATH of stub commands."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
COPIED = (
    "tools/*.sh",
    "tools/*.py",
    "tools/image/**/*",
    "tools/pulumi-cli/**/*",
    "stacks/*.example.yaml",
    "Pulumi.yaml",
    "Makefile",
)
# Commands of every Debian machine.
PLAIN = (
    "awk basename bash cat chmod cp curl cut date df dirname echo env find flock grep gzip head install ln ls make"
    " mkdir mktemp mv nohup od printf ps readlink rm rmdir sed setsid sh sha256sum sleep sort stat tail tar tee timeout"
    " touch tr true uname uniq wc xargs"
)
DEBIAN = "ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME='Debian GNU/Linux 12 (bookworm)'\n"


@dataclass(frozen=True)
class Answer:
    """How a script ended: its exit code, standard output and standard error."""

    code: int
    stdout: str
    stderr: str


class Machine:
    """The machine. `repository` is the copy, `home` an empty home directory, `commands` the only directory on PATH."""

    def __init__(self, folder: Path) -> None:
        """Lay the machine out in an empty folder: Debian, not root, no Docker, no Go, no Python."""
        self.repository = folder / "repository"
        self.home = folder / "home"
        self.commands = folder / "bin"
        self.calls = folder / "calls"
        self.started: list[subprocess.Popen[str]] = []
        for made in (self.repository, self.home, self.commands):
            made.mkdir()
        for pattern in COPIED:
            for file in ROOT.glob(pattern):
                target = self.repository / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                if file.is_file():
                    shutil.copy2(file, target)
        for name in PLAIN.split():
            found = shutil.which(name)
            if found:
                (self.commands / name).symlink_to(found)
        self.os_release = folder / "os-release"
        self.os_release.write_text(DEBIAN)
        self.command("apt-get", "exit 0")
        self.user(1000)

    def command(self, name: str, script: str, folder: Path | None = None) -> Path:
        """Write a stub command that records its arguments and runs `script`, on PATH or in another folder."""
        file = (folder or self.commands) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.calls}"\n{script}\n')
        file.chmod(0o755)
        return file

    def user(self, number: int) -> None:
        """Make `id` print this user id, with the name operator."""
        self.command("id", f'case "$*" in -un) echo operator ;; *) echo {number} ;; esac')

    def lacks(self, *names: str) -> None:
        """Remove commands from PATH."""
        for name in names:
            (self.commands / name).unlink(missing_ok=True)

    def called(self, name: str) -> list[str]:
        """Return the arguments of each call of a stub command."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a script of the repository in a process group of its own."""
        env = {
            "PATH": str(self.commands),
            "HOME": str(self.home),
            "OS_RELEASE": str(self.os_release),
            "LC_ALL": "C.UTF-8",
            **{name: os.environ[name] for name in ("TMPDIR",) if name in os.environ},
            **environment,
        }
        process = subprocess.Popen(
            ["/bin/bash", *words],
            cwd=self.repository,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """Kill the scripts that still run, as after a failed test."""
        for process in self.started:
            with process:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def run(self, *words: str, **environment: str) -> Answer:
        """Run a script of the repository to its end."""
        process = self.start(*words, **environment)
        stdout, stderr = process.communicate(timeout=120)
        return Answer(process.returncode, stdout, stderr)

    def unfinished(self) -> list[str]:
        """Return scratch folders and half-written files."""
        places = (self.repository, self.home)
        return sorted(
            str(file.relative_to(place))
            for place in places
            for file in place.rglob("*")
            if file.name.startswith("tmp.") or file.name.endswith(".new")
        )
