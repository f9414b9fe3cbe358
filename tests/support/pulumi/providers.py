"""Finds the docker provider plugins on this machine."""

import importlib.resources
import json
import os
from pathlib import Path

import pytest

from tests.support.pulumi.pulumi_stack import PULUMI_HOME, ROOT, Provider

OFFICIAL = "official"
OFFLINE = "offline"
OFFLINE_HOME = ROOT / ".tools" / "pulumi-home"


def wanted_version() -> str:
    """Return the plugin version that the SDK asks for."""
    text = importlib.resources.files("pulumi_docker").joinpath("pulumi-plugin.json").read_text()
    return str(json.loads(text)["version"])


def find_providers() -> list[Provider]:
    """Return the installed providers, the official one first."""
    homes = {OFFICIAL: PULUMI_HOME, OFFLINE: OFFLINE_HOME}
    return [Provider(name, home) for name, home in homes.items() if plugin_file(home).is_file()]


def chosen_providers() -> list[Provider]:
    """Return the providers to test on: all installed ones, or the one that FLEET_TEST_PROVIDER names."""
    found, wanted = find_providers(), os.environ.get("FLEET_TEST_PROVIDER", "")
    if wanted not in {"", OFFICIAL, OFFLINE}:
        raise pytest.UsageError(f"FLEET_TEST_PROVIDER={wanted}: expected {OFFICIAL} or {OFFLINE}")
    return [each for each in found if wanted in {"", each.name}]


def plugin_file(home: Path) -> Path:
    """Return where a Pulumi home keeps the docker plugin that the SDK asks for."""
    return home / "plugins" / f"resource-docker-v{wanted_version()}" / "pulumi-resource-docker"


def both_providers() -> list[Provider]:
    """Return the official provider and the offline one; skip the test where one is missing."""
    found = find_providers()
    missing = {OFFICIAL: "make setup", OFFLINE: "tools/offline-docker-provider/install.sh"}
    for each in found:
        del missing[each.name]
    if missing:
        pytest.skip(
            "; ".join(f"no {name} docker provider, get it with: {command}" for name, command in missing.items())
        )
    return found
