"""Makes stacks quickly: the CLI makes one and encrypts each secret once per process; the other stacks are copies.

A command of the CLI costs more than half a second, and a third of that goes into stretching the passphrase.
"""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

import yaml

NAME = "test-blank"
PASSPHRASE = "test"


class BlankStack:
    """A new stack of the project of a name, as the CLI writes it, in a folder of its own."""

    def __init__(self, pulumi: str, project: str) -> None:
        """Make the stack with the CLI."""
        self.pulumi, self.project = pulumi, project
        self._kept = tempfile.TemporaryDirectory(prefix="hermes-fleet-blank-")
        self.folder = Path(self._kept.name)
        self.config_file = self.folder / f"Pulumi.{NAME}.yaml"
        self._secrets: dict[str, str] = {}
        (self.folder / "state").mkdir()
        (self.folder / "Pulumi.yaml").write_text(f"name: {project}\nruntime: python\n")
        self._run("stack", "init", NAME, "--no-select", "--secrets-provider", "passphrase")
        self.config = self.config_file.read_text()

    def copy(self, name: str, state: Path, config_file: Path) -> None:
        """Write a copy under another name: its state into a backend's folder, and its config file."""
        backend, stack = Path(".pulumi/meta.yaml"), Path(f".pulumi/stacks/{self.project}")
        (state / stack).mkdir(parents=True)
        (state / backend).write_text((self.folder / "state" / backend).read_text())
        held = (self.folder / "state" / stack / f"{NAME}.json").read_text()
        (state / stack / f"{name}.json").write_text(held.replace(NAME, name))
        config_file.write_text(self.config)

    def encrypted(self, value: str) -> str:
        """Return a secret value as the config file of each copy holds it."""
        if value not in self._secrets:
            self._run("config", "set", f"{self.project}:value", "--secret", said=value)
            held = yaml.safe_load(self.config_file.read_text())
            self._secrets[value] = held["config"][f"{self.project}:value"]["secure"]
        return self._secrets[value]

    def _run(self, *args: str, said: str = "") -> None:
        env = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        command = [self.pulumi, *args, *(("--stack", NAME) if args[0] == "config" else ()), "--non-interactive"]
        subprocess.run(command, cwd=self.folder, env=env, input=said, text=True, check=True, capture_output=True)


@functools.cache
def blank_stack(pulumi: str, project: str) -> BlankStack:
    """Return the blank stack of the project of a name."""
    return BlankStack(pulumi, project)
