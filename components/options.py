"""Resource options as pure functions, so that a test can read what protects a family's data."""

from collections.abc import Sequence

import pulumi
from pulumi.resource import DependencyResource

from fleet.container.inputs import RECREATE, STEERING


def volume_options(
    parent: pulumi.Resource, *, after: Sequence[pulumi.Input[pulumi.Resource]]
) -> pulumi.ResourceOptions:
    """Return the options of a family's volume: nothing that Pulumi does may delete or replace it.

    It waits for the same resources as the family's container: a volume without a container counts as a family that
    came back, so a roll that halts must not leave the volumes of waves that it did not come to.
    """
    return pulumi.ResourceOptions(
        parent=parent,
        depends_on=list(after),
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

    `after` holds what it waits for. Every change replaces, the old one first, so that two agents
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


def by_urn(resource: pulumi.Resource) -> pulumi.Output[pulumi.Resource]:
    """Return a reference to a resource by its URN only, to depend on.

    The SDK checks all dependencies of a dependency for cycles, which takes minutes with 200 waves. A reference has no
    dependencies of its own; the engine sees the same one.
    """

    async def reference() -> pulumi.Resource:
        urn = await resource.urn.future()
        if urn is None:
            raise pulumi.RunError("a resource of the wave before has no URN")
        return DependencyResource(urn)

    return pulumi.Output.from_input(reference())
