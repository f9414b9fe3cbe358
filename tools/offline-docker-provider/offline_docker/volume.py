"""docker:index/volume:Volume."""

import docker
from docker.errors import NotFound

from offline_docker import daemon
from offline_docker.network import LABELS, label_map
from offline_docker.schema import Kind, Prop, Properties, tidy

SPEC = {"name": Prop(Kind.TEXT, replaces=True, required=True), "labels": LABELS}
DEFAULTS: Properties = {}
UNREAD = ("driver", "mountpoint")


def create(client: docker.APIClient, inputs: Properties) -> tuple[str, Properties]:
    """Create the volume, or adopt the one of its name: a family that comes back finds its data."""
    name = client.create_volume(inputs["name"], labels=label_map(inputs))["Name"]
    return name, read(client, name, inputs) or {}


def read(client: docker.APIClient, identifier: str, state: Properties) -> Properties | None:
    """Return the volume's state, None where it is gone. Labels are not read back, as with the official provider."""
    try:
        found = client.inspect_volume(identifier)
    except NotFound:
        return None
    return {
        **tidy(SPEC, state),
        "id": identifier,
        "name": found["Name"],
        "driver": found["Driver"],
        "mountpoint": found["Mountpoint"],
    }


def delete(client: docker.APIClient, identifier: str, _state: Properties) -> None:
    """Remove the volume, once no container uses it."""
    daemon.remove(lambda: client.remove_volume(identifier, force=True), "volume is in use")
