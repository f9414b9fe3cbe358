"""The fleet of a stack: its network, and its families' runtimes in waves."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import pulumi
import pulumi_docker as docker

from components.family_runtime import FamilyRuntime, FamilyRuntimeArgs
from components.hooks import container_hooks, network_hooks
from components.options import by_urn
from fleet import naming
from fleet.container import ContainerSpec, inputs
from fleet.container.files import scripts
from fleet.rollout.waves import Placement, WavePlan
from fleet.settings import Settings


@dataclass(frozen=True)
class FleetArgs:
    """What a fleet is made from. `specs` holds every family's container by its id."""

    settings: Settings
    plan: WavePlan
    specs: Mapping[UUID, ContainerSpec]


class Fleet(pulumi.ComponentResource):
    """All families of a stack. `runtimes` maps a family's name to its runtime."""

    network: docker.Network
    runtimes: dict[str, FamilyRuntime]

    def __init__(self, name: str, args: FleetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the network, then the waves, each gated on what comes before it, then the sleepers."""
        super().__init__("hermes-fleet:index:Fleet", name, {}, opts)
        self._specs = args.specs
        self._scripts = scripts()
        self._hooks = container_hooks(
            args.settings, {naming.container_name(p.family.id): p.family for p in args.plan.placements}
        )
        self._token = inputs.READ_TIMEOUT_MS + 1 + int(time.time()) % 1_000_000
        self.network = docker.Network(
            naming.network_name(args.settings.stack),
            name=naming.network_name(args.settings.stack),
            driver="bridge",
            options={"com.docker.network.bridge.enable_icc": "false"},
            labels=[{"label": naming.LABEL_STACK, "value": args.settings.stack}],
            opts=pulumi.ResourceOptions(parent=self, hooks=network_hooks(args.settings.stack)),
        )
        self.runtimes = {}
        after = [by_urn(self.network)]
        for wave in args.plan.waves:
            after = [by_urn(self._declare(placement, after).container) for placement in wave]
        for placement in args.plan.asleep:
            self._declare(placement, after)
        self.register_outputs({"network": self.network.name})

    async def declared(self) -> None:
        """Wait until the engine has taken in every container, or has failed on one, which the SDK reports itself.

        At the end of a program the SDK looks at all that is still open after each thing that completes. With a
        thousand families waiting for their waves that is the square of a large number; waiting here is not.
        """
        urns = [runtime.container.urn.future() for runtime in self.runtimes.values()]
        await asyncio.gather(*urns, return_exceptions=True)

    def _declare(self, placement: Placement, after: Sequence[pulumi.Input[pulumi.Resource]]) -> FamilyRuntime:
        args = FamilyRuntimeArgs(
            spec=self._specs[placement.family.id],
            placement=placement,
            scripts=self._scripts,
            network=self.network,
            after=after,
            hooks=self._hooks,
            recreate_token=self._token,
        )
        name = naming.container_name(placement.family.id)
        runtime = FamilyRuntime(name, args, pulumi.ResourceOptions(parent=self))
        self.runtimes[placement.family.name] = runtime
        return runtime
