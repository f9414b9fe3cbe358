"""Reading a stack's config from its file."""

from pathlib import Path

import pytest

from fleet.redaction import REDACTED
from fleet.settings import Settings
from fleet.stack_file import read_settings, reaper_env
from tests.support.fleet.families import make_settings

GOOD = """\
config:
  hermes-fleet:image: hermes:1
  hermes-fleet:hermesLine: "0.19"
  hermes-fleet:llm: {provider: openrouter, model: MODEL}
  hermes-fleet:llmApiKey: {secure: AAABcipher}
  hermes-fleet:masterKey: {secure: AAABcipher}
"""


def read(root: Path, *lines: str, model: str = "some/model") -> Settings:
    """Return the settings of a good stack with more lines in its config."""
    (root / "stacks").mkdir()
    content = GOOD.replace("MODEL", model) + "".join(f"  hermes-fleet:{line}\n" for line in lines)
    (root / "stacks" / "Pulumi.dev.yaml").write_text(content)
    return read_settings(root, "dev")


@pytest.mark.parametrize("date", ["2026-11-21", "2026-11-21 10:00:00", "2026-11-21T10:00:00+01:00", "2026-02-30"])
def test_a_date_is_read_as_a_string(tmp_path: Path, date: str) -> None:
    """An unquoted date may be a version of plugins; it stays a string, alone or in an object."""
    settings = read(tmp_path, f"pluginsVersion: {date}", model=f'{date}, base_url: "https://llm.example.org/v1"')
    assert settings.plugins_version == date
    assert settings.llm.model == date


def test_numbers_and_booleans_keep_their_type(tmp_path: Path) -> None:
    """Only dates become strings: JSON has none."""
    settings = read(tmp_path, "rollout: {wave_size: 2, preflight: false}")
    assert (settings.rollout.wave_size, settings.rollout.preflight) == (2, False)


def test_a_name_that_yaml_reads_as_a_boolean_becomes_a_string(tmp_path: Path) -> None:
    """JSON's names are strings, and a secret under such a name is redacted too."""
    assert read(tmp_path, "env: {yes: planted, MAPS_API_KEY: planted}").env == {
        "True": REDACTED,
        "MAPS_API_KEY": REDACTED,
    }


def test_the_reaper_gets_its_stack_registry_and_times_from_the_config(tmp_path: Path) -> None:
    """Set values are passed on; defaults are the stack's own."""
    settings = read(tmp_path, "registry: mine.yaml", "rollout: {wave_size: 2, health_timeout: 300, stop_grace: 45}")
    assert reaper_env(settings) == {
        "HERMES_FLEET_STACK": "dev",
        "HERMES_FLEET_REGISTRY": str(tmp_path / "mine.yaml"),
        "HERMES_FLEET_WAVE_SIZE": "2",
        "HERMES_FLEET_HEALTH_TIMEOUT": "300",
        "HERMES_FLEET_STOP_GRACE": "45",
    }
    assert reaper_env(make_settings(stack="acme/hermes-fleet/prod")) == {
        "HERMES_FLEET_STACK": "prod",
        "HERMES_FLEET_REGISTRY": "families.yaml",
        "HERMES_FLEET_WAVE_SIZE": "5",
        "HERMES_FLEET_HEALTH_TIMEOUT": "120",
        "HERMES_FLEET_STOP_GRACE": "30",
    }


def test_the_config_can_be_read_from_another_file(tmp_path: Path) -> None:
    """A CI job has the config elsewhere."""
    read(tmp_path)
    other = (tmp_path / "stacks" / "Pulumi.dev.yaml").rename(tmp_path / "other.yaml")
    assert read_settings(tmp_path, "dev", other).image == "hermes:1"
