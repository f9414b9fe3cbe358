"""Tests run programs in a host of their own; it tells the engine, and the user, what Pulumi's own does."""

import re
import secrets
from pathlib import Path

import pytest

from tests.support.pulumi_stack import Provider, PulumiStack

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


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_as_in_pulumis_own_host(program: str, pulumi_cli: str, tmp_path: Path) -> None:
    """The same is printed, and the exit code is the same."""
    assert pulumi_cli
    (tmp_path / "Pulumi.yaml").write_text("name: hermes-fleet\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(f"import os\n\nimport pulumi\n\n{PROGRAMS[program]}\n")
    no_provider = Provider("none", tmp_path)
    stack = PulumiStack(tmp_path, f"test-{secrets.token_hex(4)}", no_provider, project=tmp_path)
    stack.environment["WORD"] = "word of the environment"
    hidden = stack.blank.encrypted("PLANTED")
    config = f"config:\n  hermes-fleet:word: word of the config\n  hermes-fleet:hidden: {{secure: '{hidden}'}}\n"
    stack.config_file.write_text(stack.config_file.read_text() + config)

    own, warm = stack.run("preview", "--config-file", str(stack.config_file)), stack.preview(code=None)
    assert without_times(warm.text) == without_times(own.text)
    assert warm.code == own.code
    assert (own.code == 0) == (program == "ends well")
    assert "PLANTED" not in own.text
    assert program != "ends well" or "word of the environment" in own.text
