"""From the stack's config and the registry to a running fleet."""

from pathlib import Path

import pulumi
from pulumi.runtime.config import get_config, is_config_secret

from components import Fleet
from fleet.errors import FleetError
from fleet.settings import KEYS, Settings, load_settings

pulumi.require_pulumi_version(">=3.258.0")


async def main() -> None:
    """Declare the fleet: `Fleet` reads registry and Docker host, checks both, and plans the waves."""
    settings = read_settings()
    fleet = Fleet(settings.stack, settings)
    pulumi.export(
        "families",
        {
            name: {"name": name, "container": runtime.container.name, "volume": runtime.volume.name}
            for name, runtime in fleet.runtimes.items()
        },
    )
    await fleet.declared()


def read_settings() -> Settings:
    """Return the stack's config, checked. Raises RunError, which Pulumi shows without a traceback."""
    keys = {key: f"{pulumi.get_project()}:{key}" for key in KEYS}
    try:
        return load_settings(
            {key: get_config(full) for key, full in keys.items()},
            stack=pulumi.get_stack(),
            root=Path(__file__).parent,
            encrypted={key for key, full in keys.items() if is_config_secret(full)},
        )
    except FleetError as error:
        raise pulumi.RunError(str(error)) from error


pulumi.run(main)
