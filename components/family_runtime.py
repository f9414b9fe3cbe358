"""One family's runtime: the volume that holds its memory, and the container that runs its agent."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.options import container_options, volume_options
from fleet import naming
from fleet.container import ContainerSpec
from fleet.container.files import Script
from fleet.container.inputs import READ_TIMEOUT_MS
from fleet.rollout.waves import Placement


@dataclass(frozen=True)
class FamilyRuntimeArgs:
    """What a family's runtime is made from.

    `scripts` are those that all families share, `network` is the stack's, `after` holds the containers of the wave
    before. `recreate_token` is a number that no earlier `up` used (see `Placement.recreate`).
    """

    spec: ContainerSpec
    placement: Placement
    scripts: Sequence[Script]
    network: docker.Network
    after: Sequence[pulumi.Input[pulumi.Resource]]
    hooks: pulumi.ResourceHookBinding
    recreate_token: int


class FamilyRuntime(pulumi.ComponentResource):
    """Volume and container of one family.

    The component's own inputs show in plain text what its container gets as secret uploads: a preview names the line
    of config.yaml that changes, where the container shows only `[secret] => [secret]`.
    """

    def __init__(self, name: str, args: FamilyRuntimeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare volume and container. `name` is the container's name, which follows from the family's id."""
        super().__init__("hermes-fleet:index:FamilyRuntime", name, dict(args.spec.shown), opts)
        family, settings, placement = args.spec.family, args.spec.settings, args.placement
        volume_name = naming.volume_name(family.id)
        labels = naming.family_labels(settings.stack, family.name, family.id)
        self.volume = docker.Volume(
            volume_name,
            name=volume_name,
            labels=[{"label": label, "value": value} for label, value in sorted(labels.items())],
            opts=volume_options(self, after=args.after),
        )
        self.container = docker.Container(
            name,
            **args.spec.inputs(start=placement.start),
            container_read_refresh_timeout_milliseconds=args.recreate_token if placement.recreate else READ_TIMEOUT_MS,
            uploads=_uploads(args),
            volumes=[
                {"volume_name": self.volume.name, "container_path": naming.DATA},
                {"host_path": settings.plugins_dir, "container_path": naming.PLUGINS, "read_only": True},
            ],
            networks_advanced=[{"name": args.network.name}],
            opts=container_options(self, after=args.after, recreate=placement.recreate, hooks=args.hooks),
        )
        # Outputs would cost one more write of the whole state for each family.
        self.register_outputs({})


def _uploads(args: FamilyRuntimeArgs) -> pulumi.Output[list[docker.ContainerUploadArgsDict]]:
    """Return all files as one secret: the SDK's work grows with the square of the number of outputs."""
    own: list[docker.ContainerUploadArgsDict] = [
        {"file": each.file, "content": each.content, "permissions": each.mode} for each in args.spec.uploads
    ]
    shared: list[docker.ContainerUploadArgsDict] = [
        {"file": each.file, "permissions": each.mode, "content": each.content}
        if each.content is not None
        else {"file": each.file, "permissions": each.mode, "source": each.source, "source_hash": each.digest}
        for each in args.scripts
    ]
    return pulumi.Output.secret(own + shared)
