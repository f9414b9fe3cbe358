"""What two families' containers are declared with, word for word: a difference replaces every container of a fleet.

Where that is meant, say so in the changelog under **Upgrade:**, and write the golden file again:

    WRITE_GOLDEN=1 .venv/bin/python -m pytest tests/unit/fleet/container/test_golden.py
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fleet.container import render_all
from fleet.container.files import scripts
from fleet.hermes.lines import HERMES_LINES
from fleet.settings import Llm
from tests.support.fleet.families import make_family, make_settings

GOLDEN = Path(__file__).with_name("golden.json")
SMITH: dict[str, Any] = {
    "id": "0b9f3c1e-8a52-4a0e-9f57-1a359a0c9a1f",
    "display_name": 'The "Smïths": #1',
    "timezone": "Europe/London",
    "members": [{"name": "Ann", "role": "parent"}, {"name": "Bo"}],
    "account": {"email": "ann@example.org", "phone": "+44 20 7946 0018"},
    "channels": {"sudo_chat": True, "twilio_whatsapp": {"number": "+442079460018"}},
    "toolsets": ["memory", "web", "mcp-home"],
    "kanban": {"default_assignee": "kids", "max_in_progress_per_profile": 2},
    "resources": {"memory": "768m", "cpus": 0.75},
    "env": {"CITY": "Köln $5"},
    "config": {"agent": {"max_turns": 33}},
    "dashboard": True,
    "supervise": False,
}


def declared(line: str) -> dict[str, Any]:
    """Return all that declares the two families' containers, on one Hermes line."""
    families = [make_family("smith", **SMITH), make_family("ash", id="7c6a8b52-6a0e-4f57-9a35-0c9a1f6f3b11")]
    settings = make_settings(
        hermes_line=line,
        llm=Llm("custom", "some/model", "https://llm.example.org/v1", 128_000),
        env={"MAPS_API_KEY": "planted-maps-key"},
        channel_env={"sudo_chat": {"CHAT_TOKEN": "planted-chat-token"}},
        plugins_version="3",
    )
    specs = render_all(families, settings)
    return {
        family.name: {
            "shown": specs[family.id].shown,
            "inputs": specs[family.id].inputs(start=True),
            "uploads": [vars(upload) for upload in specs[family.id].uploads],
        }
        for family in families
    }


def test_containers_are_declared_as_before() -> None:
    """On every Hermes line; and the scripts that every container gets."""
    found = {line: declared(line) for line in HERMES_LINES}
    found["scripts"] = {script.file: script.digest for script in scripts()}
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
        pytest.fail("written; read its diff")
    assert json.loads(text) == json.loads(GOLDEN.read_text(encoding="utf-8"))
