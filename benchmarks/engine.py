"""Runs one Pulumi program on a stack and a state folder of its own, and measures it from outside."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.support.pulumi.providers import find_providers
from tests.support.pulumi.pulumi_stack import PULUMI_HOME as DEFAULT_HOME
from tests.support.pulumi.pulumi_stack import Provider, find_pulumi, home_for_tests

PROVIDER = next(iter(find_providers()), Provider("official", DEFAULT_HOME))
# The engine then keeps the state in memory until the update ends; if it is killed, the state misses what it created.
SKIP_CHECKPOINTS = {"PULUMI_SKIP_CHECKPOINTS": "true"}
_POLL_SECONDS = 0.05


class BenchError(Exception):
    """A Pulumi command failed; the message ends with its output."""


@dataclass(frozen=True)
class Measured:
    """One command: wall and processor time in seconds, and the most memory the engine itself held, in MiB.

    Processor time is that of the engine, the language host, the program and the provider together: on a machine that
    does other things too it is the steadier of the two.
    """

    seconds: float
    cpu: float
    engine_mib: float


def progress(what: str, measured: Measured) -> None:
    """Print a measurement to stderr: the tables are printed at the end, after up to an hour."""
    print(f"{what}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)


@dataclass
class Program:
    """A Pulumi program under measurement. `stack` starts with `bench-`; `backend` is a URL, None for files."""

    name: str
    source: Path
    stack: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    backend: str | None = None

    def __post_init__(self) -> None:
        """Create the stack in its own state folder."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text("config: {}\n", encoding="utf-8")
        self.run("stack", "init", self.stack, "--no-select", "--secrets-provider", "passphrase")
        for beside in (self.source, self.source / "stacks"):  # where the CLI writes one, too
            (beside / self.config_file.name).unlink(missing_ok=True)

    @property
    def state(self) -> Path:
        """Return the folder of the file backend."""
        return self.folder / "state"

    @property
    def config_file(self) -> Path:
        """Return the stack's config file."""
        return self.folder / f"Pulumi.{self.stack}.yaml"

    def configure(self, plain: Mapping[str, object], secret: Mapping[str, str]) -> None:
        """Set the stack's config; objects go in whole."""
        for key, value in secret.items():
            self.run("config", "set", "--secret", f"hermes-fleet:{key}", value, *self._config)
        held = yaml.safe_load(self.config_file.read_text(encoding="utf-8")) or {}
        held.setdefault("config", {}).update({f"hermes-fleet:{key}": value for key, value in plain.items()})
        self.config_file.write_text(yaml.safe_dump(held), encoding="utf-8")

    def preview(self) -> Measured:
        """Plan, and measure it."""
        return self.run("preview", *self._config)

    def up(self) -> Measured:
        """Update, and measure it."""
        return self.run("up", "--yes", "--skip-preview", *self._config)

    def refresh(self) -> Measured:
        """Refresh, and measure it."""
        return self.run("refresh", "--yes", "--skip-preview", *self._config)

    def destroy(self) -> Measured:
        """Destroy, and measure it."""
        return self.run("destroy", "--yes", "--skip-preview", *self._config)

    def state_bytes(self) -> int:
        """Return the size of the stack's state."""
        return sum(file.stat().st_size for file in (self.state / ".pulumi" / "stacks").rglob(f"{self.stack}.json"))

    @property
    def _config(self) -> tuple[str, ...]:
        return ("--config-file", str(self.config_file))

    def run(self, *args: str) -> Measured:
        """Run a Pulumi command on the stack. Raises BenchError when it fails."""
        stack = () if args[:2] == ("stack", "init") else ("--stack", self.stack)
        log = self.folder / f"{self.name}.log"
        begun, before = time.monotonic(), _cpu_seconds()
        with log.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(
                [find_pulumi() or "pulumi", *args, *stack, "--non-interactive"],
                cwd=self.source,
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            peak = 0.0
            while process.poll() is None:
                peak = max(peak, _peak_mib(process.pid))
                time.sleep(_POLL_SECONDS)
        seconds = time.monotonic() - begun
        if process.returncode:
            tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-30:])
            raise BenchError(f"{self.name}: pulumi {args[0]} exited with {process.returncode}:\n{tail}")
        return Measured(seconds, _cpu_seconds() - before, peak)

    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            "PULUMI_BACKEND_URL": self.backend or f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE": "benchmark",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(home_for_tests(PROVIDER)),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:{DEFAULT_HOME / 'bin'}",
            **self.environment,
        }


def _cpu_seconds() -> float:
    """Return the processor time of all child processes so far, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    return int(found) / 1024
