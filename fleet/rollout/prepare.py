"""What is looked at and made ready before the first resource of a roll is declared."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import docker

from fleet import host
from fleet.container import inputs
from fleet.container.credentials import credentials_of
from fleet.errors import FleetError
from fleet.host import Inventory, images
from fleet.registry import Family, Registry, load_registry
from fleet.registry.plugins import closed_to_agents
from fleet.rollout import key_check
from fleet.rollout.checks import notices, refuse
from fleet.rollout.waves import WavePlan, plan_waves
from fleet.settings import Rollout, Settings

Log = Callable[[str], None]

_LOCAL_SCHEMES = {"", "unix", "npipe"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Reporter:
    """Where the preparation speaks to: progress and warnings."""

    info: Log
    warn: Log


def read_families(settings: Settings, docker_host: str, *, preview: bool, reporter: Reporter) -> Registry:
    """Load the registry, its channels checked against the plugins directory. Raises FleetError with all problems.

    The directory is on the Docker host. It can be read where that is this machine; a preview elsewhere goes on without.
    A loopback address is this machine, or one whose daemon is forwarded: then the directory may be there alone.
    """
    address = host.address(docker_host)
    local = address.scheme in _LOCAL_SCHEMES
    plugins_dir = Path(settings.plugins_dir)
    if (local and not preview) or ((local or address.hostname in _LOOPBACK) and _may_be_here(plugins_dir)):
        registry = load_registry(settings.registry, plugins_dir)
        closed = closed_to_agents(plugins_dir)
        if closed:
            reporter.warn(closed)
        return registry
    reporter.warn(f"{settings.plugins_dir} is not on this machine; the channels' plugins were not checked")
    return load_registry(settings.registry)


def _may_be_here(directory: Path) -> bool:
    try:
        return directory.is_dir()
    except PermissionError:  # one that this user may not look into is a problem of the registry's
        return True


def look(client: docker.DockerClient, *, preview: bool, reporter: Reporter) -> Inventory:
    """Observe the host. A preview goes on where the host does not say what it has; an update does not."""
    try:
        return replace(host.list_fleet(client.api), processors=host.processors(client))
    except FleetError as error:
        if not preview:
            raise
        reporter.warn(f"live state was not read, every family counts as awake ({error})")
        return Inventory(read=False)


def plan_roll(
    client: docker.DockerClient, registry: Registry, settings: Settings, seen: Inventory, reporter: Reporter
) -> WavePlan:
    """Refuse what must not be rolled, say what is worth knowing, and return the waves."""
    refuse(registry.families, seen, settings, lambda container_id: host.environment(client, container_id))
    for notice in notices(registry.families, seen, settings.stack):
        reporter.warn(notice)
    plan = plan_waves(registry.families, seen, settings)
    if not plan.waves and plan.asleep:
        reporter.warn("no family is awake: nothing gates this roll, each is checked when it wakes")
    return plan


def make_ready(
    client: docker.DockerClient, plan: WavePlan, settings: Settings, seen: Inventory, reporter: Reporter
) -> None:
    """Bring the images to the host and ask the provider about a new key. Raises FleetError; no container is touched."""
    families = [placement.family for placement in plan.placements]
    if settings.rollout.stop_grace < inputs.DRAIN_SECONDS:
        reporter.warn(_short_grace(settings.rollout.stop_grace))
    if settings.rollout.preflight:
        _check_key(families, settings, seen, reporter)
    images.ensure_images(client, (inputs.image_of(family, settings) for family in families), reporter.info)


def _short_grace(seconds: int) -> str:
    return (
        f"hermes-fleet:rollout.stop_grace: {seconds} s is less than the {inputs.DRAIN_SECONDS} s that an agent may "
        "take to finish its turn and close, so the next roll may kill the containers that this one makes in mid-turn. "
        f"Mend it with: pulumi config set --path hermes-fleet:rollout.stop_grace {Rollout().stop_grace}"
    )


def _check_key(families: list[Family], settings: Settings, seen: Inventory, reporter: Reporter) -> None:
    digests = {family.id: credentials_of(family, settings) for family in families}
    rolling = key_check.new_credentials(seen, settings.stack, digests)
    first = not seen.ours(settings.stack) and settings.llm_api_key != key_check.PLACEHOLDER_KEY
    if not rolling and not first:
        return
    answer = key_check.ask_provider(settings.llm, settings.llm_api_key)
    if answer.verdict is key_check.Verdict.ACCEPTED:
        reporter.info(answer.message)
    elif answer.verdict is key_check.Verdict.REFUSED and rolling:
        raise FleetError(
            f"hermes-fleet:llmApiKey: {answer.message}; an agent with a dead key boots healthy and fails every "
            "conversation, so no container was touched. Mend it with: pulumi config set --secret hermes-fleet:llmApiKey"
            " (or, if the provider is wrong about it: pulumi config set --path hermes-fleet:rollout.preflight false)"
        )
    else:
        reporter.warn(f"hermes-fleet:llmApiKey: {answer.message}")
