"""From the stack's config and the families registry to a running fleet."""

import os
from pathlib import Path

import pulumi
from pulumi.runtime.config import get_config, is_config_secret

from components import Fleet, FleetArgs
from fleet import host
from fleet.container import render_all
from fleet.errors import FleetError
from fleet.rollout import prepare
from fleet.settings import KEYS, load_settings

pulumi.require_pulumi_version(">=3.258.0")


async def main() -> None:
    """Declare the fleet. Raises RunError, which Pulumi shows without a traceback."""
    try:
        fleet = declare()
    except FleetError as error:
        raise pulumi.RunError(str(error)) from error
    await fleet.declared()


def declare() -> Fleet:
    """Read what is asked for and what is there, and declare the difference. Raises FleetError."""
    preview = pulumi.runtime.is_dry_run()
    reporter = prepare.Reporter(pulumi.log.info, pulumi.log.warn)
    keys = {key: f"{pulumi.get_project()}:{key}" for key in KEYS}

    settings = load_settings(
        {key: get_config(full) for key, full in keys.items()},
        stack=pulumi.get_stack(),
        root=Path(__file__).parent,
        encrypted={key for key, full in keys.items() if is_config_secret(full)},
    )
    docker_host = os.environ.get("DOCKER_HOST", "")
    registry = prepare.read_families(settings, docker_host, preview=preview, reporter=reporter)
    specs = render_all(registry.families, settings)
    client = host.connect()
    seen = prepare.look(client, preview=preview, reporter=reporter)
    plan = prepare.plan_roll(client, registry, settings, seen, reporter)
    if not preview:
        prepare.make_ready(client, plan, settings, seen, reporter)

    fleet = Fleet(settings.stack, FleetArgs(settings, plan, specs))
    pulumi.export(
        "families",
        {
            name: {"name": name, "container": runtime.container.name, "volume": runtime.volume.name}
            for name, runtime in fleet.runtimes.items()
        },
    )
    return fleet


pulumi.run(main)
