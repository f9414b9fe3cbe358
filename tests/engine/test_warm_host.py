"""Tests run programs in a host of their own; it tells the engine, and the user, what Pulumi's own does."""

import os
import re
import secrets
import signal
from pathlib import Path

import pytest

from tests.support.pulumi import warm_host
from tests.support.pulumi.pulumi_stack import Provider, PulumiStack, find_script
from tests.support.waiting import until

PROGRAMS = {
    "ends well": """
config = pulumi.Config()
told = [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization(), os.getcwd(), os.environ["WORD"]]
pulumi.export("told", [*told, config.require("word"), config.require_secret("hidden")])
""",
    "refuses": "raise pulumi.RunError('refused, and why')",
    "has a mistake": "raise ValueError('a mistake')",
    "exits": "raise SystemExit(3)",
}


def without_times(text: str) -> list[str]:
    """Return what a command printed, without how far it had come at which moment."""
    lines = (re.sub(r"\d+s\b", "", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("@")]


def a_stack(folder: Path, program: str) -> PulumiStack:
    """Return a stack of a program that needs no provider."""
    (folder / "Pulumi.yaml").write_text("name: hermes-fleet\nruntime: python\n")
    (folder / "__main__.py").write_text(f"import os, time\n\nimport pulumi\n\n{program}\n")
    return PulumiStack(folder, f"test-{secrets.token_hex(4)}", Provider("none", folder), project=folder)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_as_in_pulumis_own_host(program: str, pulumi_cli: str, tmp_path: Path) -> None:
    """The same is printed, and the exit code is the same."""
    assert pulumi_cli
    stack = a_stack(tmp_path, PROGRAMS[program])
    stack.environment["WORD"] = "word of the environment"
    stack.configure({"word": "word of the config"}, {"hidden": "PLANTED"})

    own, warm = stack.run("preview", "--config-file", str(stack.config_file)), stack.preview(code=None)
    assert without_times(warm.text) == without_times(own.text)
    assert warm.code == own.code
    assert (own.code == 0) == (program == "ends well")
    assert "PLANTED" not in own.text
    assert program != "ends well" or "word of the environment" in own.text


def test_no_program_outlives_its_command(pulumi_cli: str, tmp_path: Path) -> None:
    """One that goes on where the engine is gone is killed, as by Pulumi's own host."""
    assert pulumi_cli
    stack = a_stack(tmp_path, "open('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)")
    with warm_host.serving(find_script(), stack.env) as address:
        command = stack.process("preview", "--client", address)
        until((tmp_path / "pid").is_file, 60)
        os.killpg(command.pid, signal.SIGKILL)
        command.communicate()
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not Path("/proc", str(pid)).exists(), 10)
