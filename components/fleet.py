"""A fleet: its network, and its families' runtimes in waves."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Unpack

import pulumi
import pulumi_docker as docker

from components.arguments import FleetArguments, name_arguments, settings_from
from components.family_runtime import FamilyRuntime, FamilyRuntimeArgs
from components.hooks import container_hooks, network_hooks
from components.options import by_urn
from fleet import naming
from fleet.container.files import scripts
from fleet.container.inputs import READ_TIMEOUT_MS
from fleet.errors import FleetError
from fleet.rollout.prepare import PreparedFleet, Reporter, prepare_fleet
from fleet.rollout.waves import Placement
from fleet.settings import Settings


class Fleet(pulumi.ComponentResource):
    """All families of a registry on one Docker host, `DOCKER_HOST`'s. `runtimes` maps a family's name to its runtime.

        Fleet("prod", registry="families.yaml", image="…", hermes_line="0.19", llm={…}, llm_api_key=…, master_key=…)

    `name` is the stack in the labels of its containers and the name of its network, so it is unique on its host.
    Everything is read and checked first: errors name the argument and stop the program before it declares anything.
    """

    network: docker.Network
    runtimes: dict[str, FamilyRuntime]

    def __init__(
        self,
        name: str,
        args: Settings | None = None,
        opts: pulumi.ResourceOptions | None = None,
        **arguments: Unpack[FleetArguments],
    ) -> None:
        """Declare the network, then the waves, each gated on the one before, then the sleepers.

        Give either settings or arguments. Raises RunError, which Pulumi shows without a traceback.
        """
        worded: Callable[[str], str] = str if args else partial(name_arguments, name)
        reporter = Reporter(pulumi.log.info, lambda message: pulumi.log.warn(worded(message)))
        try:
            settings = args or settings_from(name, arguments)
            prepared = prepare_fleet(settings, preview=pulumi.runtime.is_dry_run(), reporter=reporter)
        except FleetError as error:
            raise pulumi.RunError(worded(str(error))) from error
        super().__init__("hermes-fleet:index:Fleet", name, {}, opts)
        self.network = docker.Network(
            naming.network_name(settings.stack),
            name=naming.network_name(settings.stack),
            driver="bridge",
            options={"com.docker.network.bridge.enable_icc": "false"},
            labels=[{"label": naming.LABEL_STACK, "value": settings.stack}],
            opts=pulumi.ResourceOptions(parent=self, hooks=network_hooks(settings.stack)),
        )
        self.runtimes = {}
        self._declare(settings, prepared)
        self.register_outputs({"network": self.network.name})

    async def declared(self) -> None:
        """Wait until the engine has registered every container; the SDK itself reports one that fails.

        At its end a program goes through everything still pending each time that something completes. With a
        thousand families in waves that takes the square of their number; waiting here does not.
        """
        urns = [runtime.container.urn.future() for runtime in self.runtimes.values()]
        await asyncio.gather(*urns, return_exceptions=True)

    def _declare(self, settings: Settings, prepared: PreparedFleet) -> None:
        families = {naming.container_name(id_): spec.family for id_, spec in prepared.specs.items()}
        hooks = container_hooks(settings, families)
        shared = scripts()
        token = READ_TIMEOUT_MS + 1 + int(time.time()) % 1_000_000

        def declare(placement: Placement, after: Sequence[pulumi.Input[pulumi.Resource]]) -> docker.Container:
            family = placement.family
            args = FamilyRuntimeArgs(
                spec=prepared.specs[family.id],
                placement=placement,
                scripts=shared,
                network=self.network,
                after=after,
                hooks=hooks,
                recreate_token=token,
            )
            runtime = FamilyRuntime(naming.container_name(family.id), args, pulumi.ResourceOptions(parent=self))
            self.runtimes[family.name] = runtime
            return runtime.container

        after = [by_urn(self.network)]
        for wave in prepared.plan.waves:
            after = [by_urn(declare(placement, after)) for placement in wave]
        for placement in prepared.plan.asleep:
            declare(placement, after)
