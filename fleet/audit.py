"""Compares what runs with what the stack declares, and finds what no `up` would tell.

An `up` compares the config with its own state. It does not see an image whose tag has moved, nor a volume that was
lost: Docker makes an empty one in its place, and the agent wakes up without a memory.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet import naming
from fleet.host import Inventory

# Pulumi notes a volume's creation just after Docker does; clocks of two machines may differ a little.
_SLACK = timedelta(minutes=2)

# Docker 23's. Before, a volume's `CreatedAt` is when its top directory last changed, as it does at every boot
# (https://github.com/moby/moby/issues/38274).
_TELLS_CREATION = (1, 42)

# Returns the ID that an image reference means on the host now, or None.
ImageId = Callable[[str], str | None]


@dataclass(frozen=True)
class Declared:
    """What the stack declares of one family: digest of its credentials, image, what Pulumi knows of its volume.

    `volume_made` is when Pulumi made or took it over, `volume_labelled` whether it bore the fleet's labels then.
    """

    name: str
    credentials: str
    image: str
    volume_made: datetime | None = None
    volume_labelled: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that is not as declared: its kind, whom it is about, and what to do."""

    kind: str
    about: str
    what: str


@dataclass(frozen=True)
class Live:
    """What the host shows: names and labels, and by container name the ID of the image that it runs."""

    host: Inventory
    image_ids: Mapping[str, str] = field(default_factory=dict)
    volumes_made: Mapping[str, datetime] = field(default_factory=dict)


def audit(declared: Mapping[str, Declared], live: Live, stack: str, image_id: ImageId) -> list[Finding]:
    """Return everything found, sorted by kind. `declared` is by container name."""
    found = [
        *_old_keys(declared, live.host, stack),
        *_moved_images(declared, live, stack, image_id),
        *_strangers(declared, live.host, stack),
        *_volumes(declared, live, stack),
    ]
    return sorted(found, key=lambda finding: (finding.kind, finding.about))


def read_declared(digest: Mapping[str, Any]) -> dict[str, Declared]:
    """Return what a preview's JSON declares, by container name."""
    steps: list[Mapping[str, Any]] = digest.get("steps") or []
    volumes = {
        _name(step): step.get("oldState") or {} for step in steps if "docker:index/volume:Volume::" in step["urn"]
    }
    declared = {}
    for step in steps:
        inputs = (step.get("newState") or {}).get("inputs")
        if "hermes-fleet:index:FamilyRuntime::" not in step["urn"] or not inputs or step["op"] == "delete":
            continue
        name = _name(step)
        volume = volumes.get(f"{name}-data", {})
        declared[name] = Declared(
            name=str(inputs.get("family", name)),
            credentials=str(inputs.get("credentials", "")),
            image=str(inputs.get("image", "")),
            volume_made=_moment(str(volume.get("created") or "")),
            volume_labelled=_is_labelled(volume),
        )
    return declared


def read_live(
    host: Inventory, containers: Iterable[Mapping[str, Any]], volumes: Iterable[Mapping[str, Any]], *, api_version: str
) -> Live:
    """Return the host's state from Docker's own lists; `api_version` is the newest that the daemon speaks."""
    image_ids = {name.removeprefix("/"): str(each["ImageID"]) for each in containers for name in each["Names"]}
    told = tuple(map(int, api_version.split("."))) >= _TELLS_CREATION
    made = {str(each["Name"]): _moment(str(each.get("CreatedAt") or "")) for each in volumes if told}
    return Live(host, image_ids, {name: when for name, when in made.items() if when})


def _old_keys(declared: Mapping[str, Declared], host: Inventory, stack: str) -> Iterable[Finding]:
    for seen in host.ours(stack).values():
        family = declared.get(seen.name)
        if family and seen.labels.get(naming.LABEL_CREDENTIALS) != family.credentials:
            what = "runs on credentials that are not the declared ones; roll it with: pulumi up"
            yield Finding("old-key", family.name, what)


def _moved_images(declared: Mapping[str, Declared], live: Live, stack: str, image_id: ImageId) -> Iterable[Finding]:
    now: dict[str, str | None] = {}
    for seen in live.host.ours(stack).values():
        family = declared.get(seen.name)
        if family is None:
            continue
        if family.image not in now:
            now[family.image] = image_id(family.image)
        meant, runs = now[family.image], live.image_ids.get(seen.name)
        if meant and runs and meant != runs:
            what = f"runs {runs[:19]}, but {family.image} means {meant[:19]} by now; pin a digest to roll it on purpose"
            yield Finding("image-moved", family.name, what)


def _strangers(declared: Mapping[str, Declared], host: Inventory, stack: str) -> Iterable[Finding]:
    ours = {seen.name for seen in host.ours(stack).values()}
    for name, seen in host.containers.items():
        if name in ours:
            if name not in declared:
                yield Finding("undeclared", name, "is this stack's, but not in the registry; the next up removes it")
        elif naming.is_orphan(name):
            yield Finding("orphan", name, "is of an older deployment: python -m reaper orphans")
        elif naming.LABEL_STACK in seen.labels and name not in declared:
            continue  # another stack's on the same host, under a name of its own
        else:
            yield Finding("stranger", name, "has a family's name but is not this stack's: python -m fleet adopt")


def _volumes(declared: Mapping[str, Declared], live: Live, stack: str) -> Iterable[Finding]:
    for name, labels in live.host.volumes.items():
        container = name.removesuffix("-data")
        if naming.family_id_from_name(container) is None or labels.get(naming.LABEL_STACK, stack) != stack:
            continue
        family = declared.get(container)
        if family is None:
            what = "holds the data of a family that is not in the registry; python -m fleet purge deletes it for good"
            yield Finding("volume-without-family", name, what)
            continue
        sign = _sign_of_loss(family, labels, live.volumes_made.get(name))
        if sign:
            what = (
                f"{name} {sign}: the family's was lost, and Docker put an empty one in its place. Stop the family and "
                "restore its data from a copy"
            )
            yield Finding("volume-lost", family.name, what)
    for container, family in declared.items():
        if family.volume_made and f"{container}-data" not in live.host.volumes:
            what = f"{container}-data is gone from the host; restore it before the family's next start"
            yield Finding("volume-lost", family.name, what)


def _sign_of_loss(family: Declared, labels: Mapping[str, str], made: datetime | None) -> str:
    """Return what shows that a volume is not the one that Pulumi made, or nothing."""
    if family.volume_labelled and naming.LABEL_ID not in labels:
        return "has no labels, and had them when Pulumi last looked (a pulumi refresh takes it as it is)"
    if made and family.volume_made and made > family.volume_made + _SLACK:
        return f"was made at {made.astimezone(UTC):%Y-%m-%d %H:%M} UTC, after Pulumi had made it"
    return ""


def _is_labelled(volume: Mapping[str, Any]) -> bool:
    labels = (volume.get("outputs") or {}).get("labels") or []
    return any(each.get("label") == naming.LABEL_ID for each in labels)


def _name(step: Mapping[str, Any]) -> str:
    return str(step["urn"]).split("::", 3)[3]


def _moment(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else None
