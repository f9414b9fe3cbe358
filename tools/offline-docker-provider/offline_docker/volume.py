"""docker:index/volume:Volume."""

import docker
from docker.errors import NotFound

from offline_docker.network import LABELS, NAME, label_list, label_map
from offline_docker.schema import Properties, tidy

SPEC = {"name": NAME, "labels": LABELS}
DEFAULTS: Properties = {}
COMPUTED = ("driver", "mountpoint")


def create(client: docker.APIClient, inputs: Properties) -> tuple[str, Properties]:
    """Create the volume, or adopt the one of its name: a family that comes back finds its data."""
    name = client.create_volume(inputs["name"], labels=label_map(inputs))["Name"]
    return name, {**(read(client, name, inputs) or {}), **tidy(SPEC, inputs)}


def read(client: docker.APIClient, identifier: str, _state: Properties) -> Properties | None:
    """Return the volume's state, None where it is gone."""
    try:
        found = client.inspect_volume(identifier)
    except NotFound:
        return None
    known = {"name": found["Name"], "driver": found["Driver"], "mountpoint": found["Mountpoint"]}
    return {**known, "labels": label_list(found), "id": identifier}


def delete(client: docker.APIClient, identifier: str, _state: Properties) -> None:
    """Remove the volume."""
    client.remove_volume(identifier)
