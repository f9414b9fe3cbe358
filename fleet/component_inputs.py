"""What a preview may show of a family in the clear."""

from typing import Any

from fleet import container
from fleet.files import FamilyFiles
from fleet.registry import Family
from fleet.settings import Settings


def visible_inputs(family: Family, settings: Settings, files: FamilyFiles) -> dict[str, Any]:
    """Return the inputs of a family's component: what reaches its container, secrets masked, keys as a digest."""
    return {
        "family": family.name,
        "image": container.image_of(family, settings),
        "hermesLine": settings.hermes_line,
        "config": files.masked_config,
        "identity": files.identity,
        "toolsets": list(family.toolsets),
        "limits": {"memoryMiB": family.resources.memory, "cpus": family.resources.cpus},
        "env": dict(family.env),
        "gateway": {"dashboard": family.dashboard, "supervise": family.supervise},
        "credentials": container.credentials_of(family, settings),
        "plugins": {"directory": settings.plugins_dir, "version": settings.plugins_version},
        "state": family.state,
    }
