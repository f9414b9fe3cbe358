"""Which docker provider plugins are on this machine."""

import importlib.resources
import json
from pathlib import Path

from tests.support.pulumi_stack import PULUMI_HOME, ROOT, Provider

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
    return [Provider(name, home) for name, home in homes.items() if _plugin(home).is_file()]


def _plugin(home: Path) -> Path:
    return home / "plugins" / f"resource-docker-v{wanted_version()}" / "pulumi-resource-docker"
