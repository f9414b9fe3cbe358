"""What is read from a stack's file, as it was typed there."""

from pathlib import Path

import pytest

from fleet.redaction import REDACTED
from fleet.settings import Settings
from fleet.stack_file import read_settings

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
def test_a_date_is_read_as_the_text_that_stands_there(tmp_path: Path, date: str) -> None:
    """A version of plugins is a date at times, and nobody quotes one; alone or in an object it is a text."""
    settings = read(tmp_path, f"pluginsVersion: {date}", model=f'{date}, base_url: "https://llm.example.org/v1"')
    assert settings.plugins_version == date
    assert settings.llm.model == date


def test_a_number_and_a_switch_stay_what_they_are(tmp_path: Path) -> None:
    """Only dates are texts: JSON has none."""
    settings = read(tmp_path, "rollout: {wave_size: 2, preflight: false}")
    assert (settings.rollout.wave_size, settings.rollout.preflight) == (2, False)


def test_a_name_that_is_no_text_in_yaml_is_read_as_one(tmp_path: Path) -> None:
    """JSON has names of texts only, and a secret under another is hidden all the same."""
    assert read(tmp_path, "env: {yes: planted, MAPS_API_KEY: planted}").env == {
        "True": REDACTED,
        "MAPS_API_KEY": REDACTED,
    }
