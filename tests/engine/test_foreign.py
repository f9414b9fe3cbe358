"""A program of another project declares a fleet in a few lines."""

import secrets
from pathlib import Path

import docker
import pytest
import yaml

from tests.support.fleet.fleet import PLUGINS, family
from tests.support.pulumi.pulumi_stack import LLM_KEY, MASTER_KEY, ROOT, Provider, PulumiStack


@pytest.fixture
def foreign(docker_client: docker.DockerClient, provider: Provider, tmp_path: Path) -> PulumiStack:
    """Return a stack of the example program, with a registry of two families."""
    assert docker_client
    registry = tmp_path / "families.yaml"
    registry.write_text(yaml.safe_dump({"families": [family("ash"), family("birch")]}))
    stack = PulumiStack(tmp_path, f"test-{secrets.token_hex(4)}", provider, project=ROOT / "examples" / "foreign")
    stack.environment["PYTHONPATH"] = str(ROOT)
    plain = {"registry": str(registry), "image": "hermes:1", "model": "m", "pluginsDir": str(PLUGINS)}
    stack.configure(plain, {"llmApiKey": LLM_KEY, "masterKey": MASTER_KEY})
    return stack


def test_a_program_of_another_project_declares_a_fleet(foreign: PulumiStack) -> None:
    """The same resources as the project's own program declares, and no secret in what a preview prints."""
    run = foreign.preview("--diff")
    assert run.changed == {"create": 9}
    assert sorted(kind for _, kind, _ in run.steps) == [
        *["Container"] * 2,
        *["FamilyRuntime"] * 2,
        "Fleet",
        "Network",
        "Stack",
        *["Volume"] * 2,
    ]
    assert run.names("create", kind="Network") == [f"hermes-fleet-{foreign.name}"]
    assert LLM_KEY not in run.text
    assert MASTER_KEY not in run.text


def test_errors_name_the_arguments(foreign: PulumiStack) -> None:
    """Every one of them, before anything is declared, with no word of config keys that this program does not have."""
    foreign.configure({"pluginsDir": "plugins", "image": "a b"}, {"masterKey": "less than 32 bytes"})
    run = foreign.preview(code=1)
    for argument in ("plugins_dir", "image", "master_key"):
        assert f'Fleet("{foreign.name}").{argument}: ' in run.text
    assert "pulumi config set" not in run.text
    assert "hermes-fleet:" not in run.text
    assert "Traceback" not in run.text
    assert "Fleet" not in {kind for _, kind, _ in run.steps}
