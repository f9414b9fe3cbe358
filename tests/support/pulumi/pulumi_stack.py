"""Runs the project's program through the real Pulumi CLI, on a stack with a state and config of its own."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.pulumi import warm_host
from tests.support.pulumi.blank_stack import PASSPHRASE, BlankStack, blank_stack

ROOT = Path(__file__).parents[3]
PULUMI_HOME = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
MASTER_KEY = "5eed" * 16
LLM_KEY = "sk-test-PLANTED/llm+key=0001"
NEW_KEY = "sk-test-PLANTED/second+key=0002"


def _installed(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PULUMI_HOME / 'bin'}")


def find_pulumi() -> str | None:
    """Return the Pulumi CLI: the one on PATH, else the one in Pulumi's home."""
    return _installed("pulumi")


def find_script() -> str:
    """Return the script in which Pulumi's Python language host runs a program; it is beside the host."""
    script = _installed("pulumi-language-python-exec")
    assert script, "no pulumi-language-python-exec beside the Pulumi CLI; fix: make setup"
    return script


@dataclass(frozen=True)
class Provider:
    """A docker provider plugin that is installed in a Pulumi home."""

    name: str
    home: Path


@functools.cache
def home_for_tests(provider: Provider) -> Path:
    """Return a Pulumi home with the provider's plugins for this process alone: the CLI writes logs there."""
    home = Path(tempfile.mkdtemp(prefix="hermes-fleet-pulumi-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "plugins").symlink_to(provider.home / "plugins")
    return home


@dataclass(frozen=True)
class Run:
    """The result of a Pulumi command: exit code, output, and steps as (operation, kind, resource name)."""

    code: int
    text: str
    steps: tuple[tuple[str, str, str], ...]
    json: Any = None

    def names(self, *operations: str, kind: str = "Container") -> list[str]:
        """Return the names of resources of a kind with one of these operations, in order."""
        return [name for operation, of, name in self.steps if operation in operations and of == kind]

    @property
    def changed(self) -> dict[str, int]:
        """Return the number of resources by operation, without `same`."""
        return dict(Counter(operation for operation, _, _ in self.steps if operation not in {"same", "refresh"}))

    def operations(self, name: str) -> dict[str, str]:
        """Return the last operation on each resource of this name, by kind."""
        return {kind: operation for operation, kind, of in self.steps if of == name}


@dataclass
class PulumiStack:
    """A stack of the project, or of another one, in a state folder of its own. `name` starts with `test-`."""

    folder: Path
    name: str
    provider: Provider
    docker_host: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    project: Path = ROOT

    def __post_init__(self) -> None:
        """Create the stack."""
        assert self.name.startswith("test-")
        self.blank.copy(self.name, self.folder / "state", self.config_file)

    @property
    def blank(self) -> BlankStack:
        """Return the blank stack that every stack of this project is copied from."""
        pulumi = find_pulumi()
        assert pulumi
        return blank_stack(pulumi, self.project_name)

    @property
    def project_name(self) -> str:
        """Return the name of the project, which is the namespace of its config."""
        return str(yaml.safe_load((self.project / "Pulumi.yaml").read_text())["name"])

    @property
    def config_file(self) -> Path:
        """Return the stack's config file."""
        return self.folder / f"Pulumi.{self.name}.yaml"

    @property
    def env(self) -> dict[str, str]:
        """Return the environment in which Pulumi runs."""
        env = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # --event-log is a flag for tools
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(home_for_tests(self.provider)),
            "PATH": f"{Path(sys.executable).parent}:{PULUMI_HOME / 'bin'}:{os.environ['PATH']}",
            **self.environment,
        }
        if self.docker_host:
            env["DOCKER_HOST"] = self.docker_host
        return env

    def command(self, *args: str) -> list[str]:
        """Return the command line of a Pulumi command on this stack."""
        pulumi = find_pulumi()
        assert pulumi
        stack = () if args[:2] == ("stack", "init") else ("--stack", self.name)
        return [pulumi, *args, *stack, "--non-interactive"]

    def run(self, *args: str, check: bool = False, timeout: float = 600) -> Run:
        """Run a Pulumi command in the project's folder."""
        done = subprocess.run(
            self.command(*args),
            cwd=self.project,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout
        return Run(done.returncode, done.stdout, ())

    def configure(self, plain: Mapping[str, str], secret: Mapping[str, str] | None = None) -> None:
        """Set config values in the stack's file; keys may be paths such as `llm.model`."""
        held = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        encrypted = {key: {"secure": self.blank.encrypted(value)} for key, value in (secret or {}).items()}
        for key, value in {**plain, **encrypted}.items():
            *parents, last = f"{self.project_name}:{key}".split(".")
            place = held.setdefault("config", {})
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        self.config_file.write_text(yaml.safe_dump(held), encoding="utf-8")

    def up(self, *args: str, code: int | None = 0) -> Run:
        """Run `pulumi up` and return its steps; `code` is the expected exit code, None for any."""
        return self._stepping("up", "--yes", "--skip-preview", *args, code=code)

    def preview(self, *args: str, code: int | None = 0) -> Run:
        """Run `pulumi preview` and return its planned steps."""
        return self._stepping("preview", *args, code=code)

    def refresh(self, code: int | None = 0) -> Run:
        """Run `pulumi refresh`."""
        return self._stepping("refresh", "--yes", "--skip-preview", code=code)

    def silent(self, *, refreshed: bool = False) -> bool:
        """Return whether a plan finds no change; `refreshed` compares with Docker, not with the state alone."""
        run = self.preview(*(("--refresh",) if refreshed else ()), "--expect-no-changes", code=None)
        if run.code or run.changed:
            print(run.text)  # noqa: T201 - pytest shows it where the test fails
        return run.code == 0 and run.changed == {}

    @property
    def state_file(self) -> Path:
        """Return the file that holds the stack's state, where secrets are encrypted."""
        (file,) = (self.folder / "state" / ".pulumi" / "stacks").rglob(f"{self.name}.json")
        return file

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources of the state, with encrypted secrets."""
        return list(json.loads(self.state_file.read_text())["checkpoint"]["latest"]["resources"])

    def decrypted(self) -> dict[str, Any]:
        """Return the exported state with its secrets in plain text."""
        out = subprocess.run(
            self.command("stack", "export", "--show-secrets"),
            cwd=self.project,
            env=self.env,
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        return dict(json.loads(out))

    def process(self, *args: str) -> subprocess.Popen[str]:
        """Start a Pulumi command in a process group of its own."""
        return subprocess.Popen(
            [*self.command(*args), "--config-file", str(self.config_file)],
            cwd=self.project,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def remove_empty_attributes(self) -> None:
        """Remove the empty files that a kill in the middle of a write leaves beside the state (`docs/rolling.md`)."""
        for file in (self.folder / "state").rglob("*.attrs"):
            if not file.stat().st_size:
                file.unlink()

    @property
    def _is_warm(self) -> bool:
        """Return whether the warm process has this program's modules; it has not those of a copy of the repository."""
        return self.project == ROOT or not (self.project / "components").exists()

    def _stepping(self, *args: str, code: int | None) -> Run:
        log = self.folder / "events.jsonl"
        log.unlink(missing_ok=True)
        with warm_host.serving(find_script(), self.env) if self._is_warm else nullcontext() as address:
            client = ("--client", address) if address else ()
            done = self.run(*args, "--config-file", str(self.config_file), "--event-log", str(log), *client)
        assert code is None or done.code == code, done.text
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Run(done.code, done.text, tuple(_steps(events)))


def _steps(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return one step per resource: the events of a delete-before-replace are one `replace`."""
    steps = []
    for event in events:
        metadata = event.get("resourcePreEvent", {}).get("metadata")
        if metadata is None:
            continue
        operation, urn = metadata["op"], metadata["urn"]
        if operation in {"delete-replaced", "create-replacement"} or "pulumi:providers:" in urn:
            continue
        steps.append((operation, urn.split("::")[2].rpartition(":")[2], urn.rpartition("::")[2]))
    return steps
