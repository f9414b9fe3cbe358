"""Hooks of a family's container: what happens just before it is created, and when its creation fails."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from fleet import host
from fleet.gate import gate_report
from fleet.identity import container_name
from fleet.leftover import remove_leftover
from fleet.masking import mask_for
from fleet.problems import FleetError
from fleet.registry import Family
from fleet.settings import Settings


def container_hooks(settings: Settings, families: Mapping[str, Family]) -> pulumi.ResourceHookBinding:
    """Return the hooks that all containers of the fleet share. `families` are keyed by container name.

    Call it once in a program: the engine knows hooks by their names.
    """
    # Not the loop's own threads: each container that is being created holds one of them, and there are only four times
    # as many as the engine's --parallel. A hook that waited for one of those would wait for ever.
    threads = ThreadPoolExecutor(thread_name_prefix="hooks")

    async def clear_leftover(args: pulumi.ResourceHookArgs) -> None:
        was = await asyncio.get_running_loop().run_in_executor(threads, _clear, args.name, settings)
        if was:
            family = families[args.name].name
            pulumi.log.warn(f"{family}: removed a container ({was}) that an interrupted up had left; its volume stays")

    async def report_failure(args: pulumi.ErrorHookArgs) -> bool:
        if args.failed_operation == "create" and args.name in families:
            family = families[args.name]
            pulumi.log.error(await asyncio.get_running_loop().run_in_executor(threads, _report, family, settings))
        return False

    return pulumi.ResourceHookBinding(
        before_create=[pulumi.ResourceHook("clear-leftover", clear_leftover)],
        on_error=[pulumi.ErrorHook("report-failure", report_failure)],
    )


def _clear(name: str, settings: Settings) -> str | None:
    client = host.connect()
    try:
        return remove_leftover(client, name, settings.stack, settings.rollout.stop_grace)
    finally:
        client.close()


def _report(family: Family, settings: Settings) -> str:
    mask = mask_for(settings, [family])
    try:
        client = host.connect()
    except FleetError as error:
        return mask.apply(f"family {family.name} failed and cannot be looked at: {error}")
    try:
        return gate_report(client, container_name(family.id), family.name, mask)
    finally:
        client.close()
