"""Resource options as pure functions, so that a test can read what protects a family's data."""

from collections.abc import Sequence

import pulumi
from pulumi.resource import DependencyResource

from fleet.container import RECREATE, STEERING


def volume_options(parent: pulumi.Resource) -> pulumi.ResourceOptions:
    """Return the options of a family's volume: nothing that Pulumi does may delete or replace it."""
    return pulumi.ResourceOptions(
        parent=parent,
        retain_on_delete=True,
        ignore_changes=["labels", "driver", "driverOpts"],
    )


def container_options(
    parent: pulumi.Resource,
    *,
    after: Sequence[pulumi.Input[pulumi.Resource]],
    recreate: bool,
    hooks: pulumi.ResourceHookBinding | None,
) -> pulumi.ResourceOptions:
    """Return the options of a family's container.

    `after` holds the containers of the wave before. Every change replaces, the old one first, so that two agents
    never write to one volume and a container that failed its gate is replaced and gated again at the next `up`.
    A `recreate` lets the provider see the one input that is changed only for that purpose.
    """
    return pulumi.ResourceOptions(
        parent=parent,
        depends_on=list(after),
        delete_before_replace=True,
        replace_on_changes=["*"],
        ignore_changes=[*STEERING, *(() if recreate else (RECREATE,))],
        hooks=hooks,
    )


def gate(resource: pulumi.Resource) -> pulumi.Output[pulumi.Resource]:
    """Return a resource to depend on that knows no dependencies of its own.

    With every dependency the SDK walks all that it depends on in turn, to find cycles: through 200 waves that costs
    minutes. Waves have no cycles; the engine is told the same.
    """

    async def known() -> pulumi.Resource:
        urn = await resource.urn.future()
        if urn is None:
            raise pulumi.RunError("a resource of the wave before has no URN")
        return DependencyResource(urn)

    return pulumi.Output.from_input(known())
