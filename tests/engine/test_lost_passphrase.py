"""What the set-up prints where the passphrase of the stack `dev` is lost leads to a stack that works."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.setup.copies import copy_repository

# A state as any `up` leaves it, with a secret in it.
HELD = {
    "urn": "urn:pulumi:dev::hermes-fleet::pulumi:pulumi:Stack::hermes-fleet-dev",
    "type": "pulumi:pulumi:Stack",
    "custom": False,
    "outputs": {"held": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"s"'}},
}


def bash(checkout: Path, script: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script in a checkout, with nothing of another stack in its environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    return subprocess.run(
        ["bash", "-c", script], cwd=checkout, env=env, input=given, text=True, capture_output=True, check=False
    )


@pytest.mark.parametrize("now", [None, "another passphrase"], ids=["gone", "another one"])
def test_the_printed_way_out_leads_to_a_stack_that_works(pulumi_cli: str, tmp_path: Path, now: str | None) -> None:
    """State and config are put aside; the stack is made anew, with the master key and plain config of before.

    Left where it is, the state would make every command fail: its secrets want the old passphrase. The lines for Docker
    are left out here: the daemon may be one with a stack `dev` of its own.
    """
    assert pulumi_cli
    checkout = copy_repository(tmp_path / "checkout")
    state = checkout / ".state"
    state.mkdir()
    (state / "image").write_text("agent:1 0.19\n")
    assert bash(checkout, "tools/stack.sh").returncode == 0
    exported = json.loads(bash(checkout, ". .state/env && pulumi stack export").stdout)
    exported["deployment"]["resources"] = [HELD]
    assert bash(checkout, ". .state/env && pulumi stack import", json.dumps(exported)).returncode == 0
    bash(
        checkout,
        ". .state/env && pulumi config set image own/agent:7 && pulumi config set --secret --path env.A planted",
    )
    master_key = (state / "master-key").read_text()

    (state / "passphrase").unlink()
    if now:
        (state / "passphrase").write_text(now)
        (state / "configured").unlink()
    refused = bash(checkout, "tools/stack.sh")
    assert refused.returncode == 1
    lines = [line.strip() for line in refused.stderr.partition("fix:")[2].splitlines()]
    first_command = next(number for number, line in enumerate(lines) if line.startswith("docker "))
    for_docker = [line for line in lines[first_command:] if line.startswith("docker ")]
    for_files = [line for line in lines[first_command:-1] if line not in for_docker]
    assert lines[-1] == "make up"
    assert not any("volume" in line for line in for_docker)

    again = bash(checkout, "\n".join(["set -e", *for_files, "tools/stack.sh"]))
    assert again.returncode == 0, again.stderr
    export = bash(checkout, ". .state/env && pulumi stack export --show-secrets")
    assert export.returncode == 0, export.stderr
    assert "resources" not in json.loads(export.stdout)["deployment"]
    told = bash(checkout, ". .state/env && pulumi config get masterKey && pulumi config get image")
    assert told.stdout.split() == [master_key.strip(), "own/agent:7"]
    assert "hermes-fleet:env" not in (checkout / "stacks/Pulumi.dev.yaml").read_text()
    assert (state / "Pulumi.dev.yaml.lost").exists()
    assert list((state / "backend.lost").rglob("dev.json"))
