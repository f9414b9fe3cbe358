"""docker:index/network:Network."""

import docker
from docker.errors import NotFound

from offline_docker import daemon
from offline_docker.schema import TEXT, Kind, Prop, Properties, tidy

LABEL = Prop(Kind.OBJECT, fields={"label": Prop(Kind.TEXT, required=True), "value": Prop(Kind.TEXT, required=True)})
LABELS = Prop(Kind.SET, replaces=True, item=LABEL)

SPEC = {
    "name": Prop(Kind.TEXT, replaces=True, required=True),
    "driver": Prop(Kind.TEXT, replaces=True, computed=True),
    "options": Prop(Kind.MAP, replaces=True, computed=True, item=None),
    "labels": LABELS,
}
DEFAULTS = {"ipamDriver": "default"}
UNREAD = ("driver", "internal", "ipamConfigs", "options", "scope")


def label_map(inputs: Properties) -> dict[str, str]:
    """Return declared labels as Docker takes them."""
    return {each["label"]: each["value"] for each in inputs.get("labels") or []}


def create(client: docker.APIClient, inputs: Properties) -> tuple[str, Properties]:
    """Create the network; a second one of its name is refused."""
    made = client.create_network(
        inputs["name"],
        driver=inputs.get("driver", "bridge"),
        options=inputs.get("options"),
        labels=label_map(inputs),
        check_duplicate=True,
    )
    return made["Id"], read(client, made["Id"], inputs) or {}


def read(client: docker.APIClient, identifier: str, state: Properties) -> Properties | None:
    """Return the network's state, None where it is gone. Labels are not read back, as with the official provider."""
    try:
        found = client.inspect_network(identifier)
    except NotFound:
        return None
    ipam = found["IPAM"]
    return {
        **tidy(SPEC, state),
        "id": identifier,
        "name": found["Name"],
        "driver": found["Driver"],
        "options": found["Options"] or {},
        "internal": found["Internal"],
        "attachable": found["Attachable"],
        "ingress": found["Ingress"],
        "ipv6": found["EnableIPv6"],
        "scope": found["Scope"],
        "ipamDriver": ipam["Driver"],
        "ipamConfigs": [
            {
                "subnet": each.get("Subnet", ""),
                "gateway": each.get("Gateway", ""),
                "ipRange": each.get("IPRange", ""),
                "auxAddress": each.get("AuxiliaryAddresses") or {},
            }
            for each in ipam["Config"] or []
        ],
    }


def delete(client: docker.APIClient, identifier: str, _state: Properties) -> None:
    """Remove the network, once its last container has left it."""
    daemon.remove(lambda: client.remove_network(identifier), "has active endpoints")
