"""What is read, checked and made ready before the first resource of a roll is declared."""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import docker

from fleet import host
from fleet.container import ContainerSpec, inputs, render_all
from fleet.container.credentials import credentials_of
from fleet.errors import FleetError
from fleet.host import Inventory, images
from fleet.registry import Family, Registry, load_registry
from fleet.registry.plugins import closed_to_agents
from fleet.rollout import key_check
from fleet.rollout.checks import check, notices
from fleet.rollout.waves import WavePlan, plan_waves
from fleet.settings import Rollout, Settings

_LOCAL_SCHEMES = {"", "unix", "npipe"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Reporter:
    """Where progress and warnings go."""

    info: images.Log
    warn: images.Log


@dataclass(frozen=True)
class PreparedFleet:
    """A fleet that is ready to be declared: each family's container by the family's id, and the waves."""

    specs: Mapping[UUID, ContainerSpec]
    plan: WavePlan


def prepare_fleet(settings: Settings, *, preview: bool, reporter: Reporter) -> PreparedFleet:
    """Read registry and Docker host, check both, and plan the waves; an update also makes the host ready.

    The host is `DOCKER_HOST`'s. Raises FleetError with the problems; no container is touched.
    """
    registry = read_families(settings, os.environ.get("DOCKER_HOST", ""), preview=preview, reporter=reporter)
    specs = render_all(registry.families, settings)
    with closing(host.connect()) as client:
        inventory = read_inventory(client, preview=preview, reporter=reporter)
        plan = plan_roll(client, registry, settings, inventory, reporter)
        if not preview:
            make_ready(client, plan, settings, inventory, reporter)
    return PreparedFleet(specs, plan)


def read_families(settings: Settings, docker_host: str, *, preview: bool, reporter: Reporter) -> Registry:
    """Load the registry and check its channels against the plugins directory. Raises FleetError with all problems.

    The directory is on the Docker host. Where that is another machine, the check is left out with a warning. A loopback
    address may be a forwarded daemon: then the directory is checked if it exists here.
    """
    address = host.address(docker_host)
    local = address.scheme in _LOCAL_SCHEMES
    plugins_dir = Path(settings.plugins_dir)
    if (local and not preview) or ((local or address.hostname in _LOOPBACK) and _may_exist(plugins_dir)):
        registry = load_registry(settings.registry, plugins_dir)
        closed = closed_to_agents(plugins_dir)
        if closed:
            reporter.warn(closed)
        return registry
    reporter.warn(f"{settings.plugins_dir} is not on this machine; the channels' plugins were not checked")
    return load_registry(settings.registry)


def _may_exist(directory: Path) -> bool:
    try:
        return directory.is_dir()
    except PermissionError:  # loading the registry reports it
        return True


def read_inventory(client: docker.DockerClient, *, preview: bool, reporter: Reporter) -> Inventory:
    """List the fleet on the host. Where the daemon does not answer, an update raises FleetError and a preview warns."""
    try:
        with host.daemon_errors():
            return replace(host.list_fleet(client.api), processors=client.info()["NCPU"])
    except FleetError as error:
        if not preview:
            raise
        reporter.warn(f"live state was not read, every family counts as awake ({error})")
        return Inventory(read=False)


def plan_roll(
    client: docker.DockerClient, registry: Registry, settings: Settings, inventory: Inventory, reporter: Reporter
) -> WavePlan:
    """Check the preconditions, report the notices, and return the waves. Raises FleetError with all problems."""
    check(registry.families, inventory, settings, lambda container_id: host.environment(client, container_id))
    for notice in notices(registry.families, inventory, settings.stack):
        reporter.warn(notice)
    plan = plan_waves(registry.families, inventory, settings)
    if not plan.waves and plan.asleep:
        reporter.warn("no family is awake: nothing gates this roll, each is checked when it wakes")
    return plan


def make_ready(
    client: docker.DockerClient, plan: WavePlan, settings: Settings, inventory: Inventory, reporter: Reporter
) -> None:
    """Pull the images and check a new key. Raises FleetError; no container is touched."""
    families = [placement.family for placement in plan.placements]
    grace = settings.rollout.stop_grace
    if grace < inputs.DRAIN_SECONDS:
        reporter.warn(
            f"hermes-fleet:rollout.stop_grace: {grace} s is less than the {inputs.DRAIN_SECONDS} s that an agent may "
            "take to finish its turn and close, so the next roll may kill agents in the middle of one; "
            f"fix: pulumi config set --path hermes-fleet:rollout.stop_grace {Rollout().stop_grace}"
        )
    if settings.rollout.preflight:
        _check_key(families, settings, inventory, reporter)
    images.ensure_images(client, (inputs.image_of(family, settings) for family in families), reporter.info)


def _check_key(families: list[Family], settings: Settings, inventory: Inventory, reporter: Reporter) -> None:
    digests = {family.id: credentials_of(family, settings) for family in families}
    rolling = key_check.new_credentials(inventory, settings.stack, digests)
    first = not inventory.ours(settings.stack) and settings.llm_api_key != key_check.PLACEHOLDER_KEY
    if not rolling and not first:
        return
    answer = key_check.ask_provider(settings.llm, settings.llm_api_key)
    if answer.verdict == "accepted":
        reporter.info(answer.message)
    elif answer.verdict == "refused" and rolling:
        raise FleetError(
            f"hermes-fleet:llmApiKey: {answer.message}; an agent with a dead key boots healthy and fails every "
            "conversation, so no container was touched; fix: pulumi config set --secret hermes-fleet:llmApiKey"
            " (or, if the provider is wrong about it: pulumi config set --path hermes-fleet:rollout.preflight false)"
        )
    else:
        reporter.warn(f"hermes-fleet:llmApiKey: {answer.message}")
