"""`python -m fleet plan` on a fleet under test."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.support.fleet.fleet import FleetUnderTest
from tests.support.pulumi.pulumi_stack import LLM_KEY, MASTER_KEY, NEW_KEY, ROOT


@dataclass(frozen=True)
class Told:
    """What the command said: its exit code, its Markdown, its JSON, and what it put on stderr."""

    code: int
    text: str
    data: dict[str, Any]
    errors: str

    def names(self, kind: str) -> list[str]:
        """Return the names of the families of one kind of change."""
        return sorted(change["name"] for change in self.data["changes"] if change["kind"] == kind)

    def guards(self) -> list[str]:
        """Return the guards that refused."""
        return [refusal["guard"] for refusal in self.data["refusals"] if not refusal["allowed"]]


def plan(fleet: FleetUnderTest, *args: str, daemon: bool = True) -> Told:
    """Run the command on a fleet's stack, and look for planted secrets in everything it says."""
    file = fleet.folder / "plan.json"
    file.unlink(missing_ok=True)
    env = dict(fleet.stack.env)
    if not daemon:
        env["DOCKER_HOST"] = f"unix://{fleet.folder / 'absent.sock'}"
    command = [sys.executable, "-m", "fleet", "plan", "--stack", fleet.stack.name, "--json", str(file)]
    done = subprocess.run(
        [*command, "--config-file", str(fleet.stack.config_file), *args],
        cwd=ROOT,
        env=env,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=800,
    )
    written = file.read_text(encoding="utf-8") if file.exists() else "{}"
    for secret in (LLM_KEY, NEW_KEY, MASTER_KEY):
        assert secret not in done.stdout + done.stderr + written
    return Told(done.returncode, done.stdout, json.loads(written), done.stderr)
