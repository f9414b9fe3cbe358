"""One family's runtime: the volume that holds its memory, and the container that lives on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.options import container_options, volume_options
from fleet import naming
from fleet.container import inputs
from fleet.container.files import FamilyFiles, Script, uploads
from fleet.container.inputs import component_inputs
from fleet.rollout.waves import Placement
from fleet.settings import Settings


@dataclass(frozen=True)
class FamilyRuntimeArgs:
    """What a family's runtime is made from.

    `files` are the family's own, `scripts` those that all families share, `network` is the stack's, `after` what the
    family's turn waits for: the containers of the wave before. `recreate_token` is a number that no earlier `up` used
    (see `Placement.recreate`).
    """

    placement: Placement
    settings: Settings
    files: FamilyFiles
    scripts: Sequence[Script]
    network: docker.Network
    after: Sequence[pulumi.Input[pulumi.Resource]]
    hooks: pulumi.ResourceHookBinding
    recreate_token: int


class FamilyRuntime(pulumi.ComponentResource):
    """Volume and container of one family.

    Its own inputs repeat in the clear what reaches the container as secret uploads: a preview shows the line of
    the configuration that changes, where the container says only `[secret] => [secret]`.
    """

    volume: docker.Volume
    container: docker.Container

    def __init__(self, args: FamilyRuntimeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the runtime of `args.placement.family` under the name of its container."""
        family, settings = args.placement.family, args.settings
        name = naming.container_name(family.id)
        super().__init__("hermes-fleet:index:FamilyRuntime", name, component_inputs(family, settings, args.files), opts)
        self.volume = docker.Volume(
            naming.volume_name(family.id),
            name=naming.volume_name(family.id),
            labels=_labels(naming.family_labels(settings.stack, family.name, family.id)),
            opts=volume_options(self, after=args.after),
        )
        self.container = docker.Container(
            name,
            **inputs.container_inputs(family, settings, start=args.placement.start),
            container_read_refresh_timeout_milliseconds=args.recreate_token
            if args.placement.recreate
            else inputs.READ_TIMEOUT_MS,
            uploads=_uploads(args),
            volumes=[
                {"volume_name": self.volume.name, "container_path": naming.DATA},
                {"host_path": settings.plugins_dir, "container_path": naming.PLUGINS, "read_only": True},
            ],
            networks_advanced=[{"name": args.network.name}],
            opts=container_options(self, after=args.after, recreate=args.placement.recreate, hooks=args.hooks),
        )
        # Outputs would cost one more write of the whole state a family; the stack's own name container and volume.
        self.register_outputs({})


def _uploads(args: FamilyRuntimeArgs) -> pulumi.Output[list[docker.ContainerUploadArgsDict]]:
    """Return the files as one secret: the SDK's work grows with the square of how many outputs there are."""
    own: list[docker.ContainerUploadArgsDict] = [
        {"file": each.file, "content": each.content, "permissions": each.mode} for each in uploads(args.files)
    ]
    shared: list[docker.ContainerUploadArgsDict] = [
        {"file": each.file, "source": each.source, "source_hash": each.digest, "permissions": each.mode}
        for each in args.scripts
    ]
    return pulumi.Output.secret(own + shared)


def _labels(labels: Mapping[str, str]) -> list[docker.VolumeLabelArgsDict]:
    return [{"label": label, "value": value} for label, value in sorted(labels.items())]
