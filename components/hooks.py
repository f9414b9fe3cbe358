"""Resource hooks: cleanup just before a resource is created, and a report where a container's creation fails."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from fleet.registry import Family
from fleet.rollout.cleanup import clear_container, clear_network
from fleet.rollout.failure import gate_report
from fleet.settings import Settings

# Not the event loop's threads: each container that is being created occupies one of them, and there are only four times
# as many as the engine's --parallel. A hook that waited for a free one would wait forever.
_THREADS = ThreadPoolExecutor(thread_name_prefix="hooks")


def container_hooks(settings: Settings, families: Mapping[str, Family]) -> pulumi.ResourceHookBinding:
    """Return the hooks that all containers of a fleet share. `families` are keyed by container name.

    Call it once for each fleet: the engine knows hooks by their names, which end in the stack's.
    """

    async def report_failure(args: pulumi.ErrorHookArgs) -> bool:
        if args.failed_operation == "create" and args.name in families:
            report = asyncio.get_running_loop().run_in_executor(_THREADS, gate_report, families[args.name], settings)
            pulumi.log.error(await report)
        return False

    return pulumi.ResourceHookBinding(
        before_create=[
            _cleanup(f"container-{settings.stack}", lambda args: clear_container(families[args.name], settings))
        ],
        on_error=[pulumi.ErrorHook(f"report-failure-{settings.stack}", report_failure)],
    )


def network_hooks(stack: str) -> pulumi.ResourceHookBinding:
    """Return the hooks of a fleet's network; call it once, too. Where one raises, the network is not created."""
    return pulumi.ResourceHookBinding(before_create=[_cleanup(f"network-{stack}", lambda _: clear_network(stack))])


def _cleanup(name: str, clear: Callable[[pulumi.ResourceHookArgs], str | None]) -> pulumi.ResourceHook:
    async def hook(args: pulumi.ResourceHookArgs) -> None:
        message = await asyncio.get_running_loop().run_in_executor(_THREADS, clear, args)
        if message:
            pulumi.log.warn(message)

    return pulumi.ResourceHook(f"cleanup-{name}", hook)
