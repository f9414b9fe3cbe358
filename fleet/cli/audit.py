"""The command `audit`: compares what runs with what the stack declares.

An `up` compares the config with Pulumi's state only. It does not see an image whose tag has moved, nor a lost volume:
Docker creates an empty one in its place, and the agent starts without its memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import docker
from docker.errors import APIError
from docker.utils import version_gte

from fleet import host, naming
from fleet.cli import FOUND, ConfigFile, Json, Stack, project, show
from fleet.errors import FleetError
from fleet.host import Inventory
from fleet.plan.preview import environment, preview
from fleet.plan.reader import RUNTIME, VOLUME, inputs_of, messages, resources

# Pulumi records the creation of a volume just after Docker; the clocks of two machines may differ a little.
_SLACK = timedelta(minutes=2)

# Docker 23. Before it, `CreatedAt` of a volume is when its top directory last changed, as it does at every boot
# (https://github.com/moby/moby/issues/38274).
_API_WITH_CREATION = "1.42"

# Returns the ID that an image reference means on the host now, or None.
ImageId = Callable[[str], str | None]


@dataclass(frozen=True)
class Declared:
    """What the stack declares of a family: digest of its credentials, image, and what Pulumi recorded of its volume.

    `volume_made` is when Pulumi created or imported it, `volume_labelled` whether it had the fleet's labels then.
    """

    name: str
    credentials: str
    image: str
    volume_made: datetime | None = None
    volume_labelled: bool = False


@dataclass(frozen=True)
class Finding:
    """One difference: its kind, the family or resource that it is about, and what to do."""

    kind: str
    about: str
    what: str


@dataclass(frozen=True)
class Live:
    """What the host shows: names and labels, and by container name the ID of the image that it runs."""

    host: Inventory
    image_ids: Mapping[str, str] = field(default_factory=dict)
    volumes_made: Mapping[str, datetime] = field(default_factory=dict)


def audit(stack: Stack = "dev", config_file: ConfigFile = None, as_json: Json = False) -> int:
    """Find what differs from what the stack declares. Exits with 0 where all runs as declared, 2 where it does not.

    Example: hermes-fleet audit --stack prod
    """
    root = project()
    with closing(host.connect()) as client:
        digest = preview(root, stack, config_file, environment(root), daemon=True)
        if errors := messages(digest, "error"):
            raise FleetError("\n".join(errors))
        named = {"name": naming.PREFIX}
        live = read_live(
            host.list_fleet(client.api),
            client.api.containers(all=True, filters=named),
            client.api.volumes(filters=named)["Volumes"] or [],
            api_version=client.api.version()["ApiVersion"],
        )
        found = findings(
            read_declared(digest), live, naming.stack_label(stack), cache(lambda image: _image_id(client, image))
        )
    text = "\n".join(f"{finding.kind}: {finding.about}: {finding.what}" for finding in found)
    show(found, text or "everything runs as declared", as_json=as_json)
    return FOUND if found else 0


def _image_id(client: docker.DockerClient, reference: str) -> str | None:
    try:
        return str(client.images.get(reference).id)
    except APIError as error:
        if error.status_code in {404, 400}:  # it does not have the image, or does not accept the reference
            return None
        raise FleetError(f"image {reference}: Docker cannot resolve it ({error.explanation or error})") from error


def findings(declared: Mapping[str, Declared], live: Live, stack: str, image_id: ImageId) -> list[Finding]:
    """Return all differences, sorted by kind. `declared` is by container name."""
    found = [*_containers(declared, live, stack, image_id), *_volumes(declared, live, stack)]
    return sorted(found, key=lambda finding: (finding.kind, finding.about))


def read_declared(digest: Mapping[str, Any]) -> dict[str, Declared]:
    """Return what a preview's JSON declares, by container name."""
    volumes = resources(digest, VOLUME)
    declared = {}
    for name, runtime in resources(digest, RUNTIME).items():
        if inputs := inputs_of(runtime, "newState"):
            volume = volumes.get(f"{name}-data", {}).get("oldState") or {}
            made = str(volume.get("created") or "")
            labels = (volume.get("outputs") or {}).get("labels") or []
            declared[name] = Declared(
                name=str(inputs.get("family", name)),
                credentials=str(inputs.get("credentials", "")),
                image=str(inputs.get("image", "")),
                volume_made=_moment(made),
                volume_labelled=any(each.get("label") == naming.LABEL_ID for each in labels),
            )
    return declared


def read_live(
    inventory: Inventory,
    containers: Iterable[Mapping[str, Any]],
    volumes: Iterable[Mapping[str, Any]],
    *,
    api_version: str,
) -> Live:
    """Return the host's state from Docker's own lists; `api_version` is the newest that the daemon speaks."""
    image_ids = {name.removeprefix("/"): str(each["ImageID"]) for each in containers for name in each["Names"]}
    told = version_gte(api_version, _API_WITH_CREATION)
    made = {each["Name"]: each["CreatedAt"] for each in volumes if told and each.get("CreatedAt")}
    return Live(inventory, image_ids, {name: when for name, text in made.items() if (when := _moment(text))})


def _moment(text: str) -> datetime | None:
    """Return a time with its zone; None for any other text."""
    with suppress(ValueError):
        when = datetime.fromisoformat(text)
        return when if when.tzinfo else None
    return None


def _containers(declared: Mapping[str, Declared], live: Live, stack: str, image_id: ImageId) -> Iterator[Finding]:
    ours = {seen.name for seen in live.host.ours(stack).values()}
    for name, seen in live.host.containers.items():
        family = declared.get(name)
        if name in ours and family is None:
            yield Finding(
                "undeclared", name, "belongs to this stack, but is not in the registry; the next up removes it"
            )
        elif name in ours and family:
            if seen.labels.get(naming.LABEL_CREDENTIALS) != family.credentials:
                yield Finding(
                    "old-key", family.name, "runs on other credentials than the declared ones; fix: pulumi up"
                )
            meant, runs = image_id(family.image), live.image_ids.get(name)
            if meant and runs and meant != runs:
                yield Finding(
                    "image-moved",
                    family.name,
                    f"runs {runs[:19]}, but {family.image} means {meant[:19]} by now; fix: pin a digest to roll it",
                )
        elif naming.is_orphan(name):
            yield Finding("orphan", name, "is of an older deployment; see: hermes-fleet reaper orphans")
        elif family or naming.LABEL_STACK not in seen.labels:  # else it is another stack's, under a name of its own
            yield Finding("stranger", name, "has a family's name but not this stack's labels; fix: hermes-fleet adopt")


def _volumes(declared: Mapping[str, Declared], live: Live, stack: str) -> Iterator[Finding]:
    for name, labels in live.host.volumes.items():
        container = name.removesuffix("-data")
        if naming.family_id_from_name(container) is None or labels.get(naming.LABEL_STACK, stack) != stack:
            continue
        family = declared.get(container)
        if family is None:
            yield Finding(
                "volume-without-family",
                name,
                "holds the data of a family that is not in the registry; hermes-fleet purge deletes it for good",
            )
        elif sign := _sign_of_loss(family, labels, live.volumes_made.get(name)):
            yield Finding(
                "volume-lost",
                family.name,
                f"{name} {sign}: the family's volume was lost, and Docker created an empty one in its place; "
                "fix: stop the family and restore its data from a copy",
            )
    for container, family in declared.items():
        if family.volume_made and f"{container}-data" not in live.host.volumes:
            yield Finding(
                "volume-lost",
                family.name,
                f"{container}-data is gone from the host; fix: restore it before the family's next start",
            )


def _sign_of_loss(family: Declared, labels: Mapping[str, str], made: datetime | None) -> str:
    """Return what shows that a volume is not the one that Pulumi created, or nothing."""
    if family.volume_labelled and naming.LABEL_ID not in labels:
        return "has no labels, and had them when Pulumi last looked (a pulumi refresh accepts it as it is)"
    if made and family.volume_made and made > family.volume_made + _SLACK:
        return f"was created at {made.astimezone(UTC):%Y-%m-%d %H:%M} UTC, after Pulumi's own record of it"
    return ""
