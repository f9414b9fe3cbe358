"""docker:index/network:Network."""

import docker
from docker.errors import NotFound

from offline_docker.schema import Kind, Prop, Properties, tidy

LABEL = Prop(Kind.OBJECT, fields={"label": Prop(Kind.TEXT, required=True), "value": Prop(Kind.TEXT, required=True)})
LABELS = Prop(Kind.SET, replaces=True, item=LABEL)
NAME = Prop(Kind.TEXT, replaces=True, required=True)
SPEC = {
    "name": NAME,
    "driver": Prop(Kind.TEXT, replaces=True, computed=True),
    "options": Prop(Kind.MAP, replaces=True, computed=True),
    "labels": LABELS,
}
DEFAULTS = {"ipamDriver": "default"}
COMPUTED = ("driver", "ipamConfigs", "options", "scope")


def label_map(inputs: Properties) -> dict[str, str]:
    """Return declared labels as Docker takes them."""
    return {each["label"]: each["value"] for each in inputs.get("labels") or []}


def label_list(found: Properties) -> list[Properties]:
    """Return the labels of what Docker describes in the declared form."""
    return [{"label": label, "value": value} for label, value in sorted((found["Labels"] or {}).items())]


def create(client: docker.APIClient, inputs: Properties) -> tuple[str, Properties]:
    """Create the network; a second one of its name is refused."""
    made = client.create_network(
        inputs["name"],
        driver=inputs.get("driver"),
        options=inputs.get("options"),
        labels=label_map(inputs),
        check_duplicate=True,
    )
    return made["Id"], {**(read(client, made["Id"], inputs) or {}), **tidy(SPEC, inputs)}


def read(client: docker.APIClient, identifier: str, _state: Properties) -> Properties | None:
    """Return the network's state, None where it is gone."""
    try:
        found = client.inspect_network(identifier)
    except NotFound:
        return None
    subnets = [{"subnet": each.get("Subnet"), "gateway": each.get("Gateway")} for each in found["IPAM"]["Config"] or []]
    known = {"name": found["Name"], "driver": found["Driver"], "options": found["Options"], "scope": found["Scope"]}
    return {**DEFAULTS, **known, "labels": label_list(found), "id": identifier, "ipamConfigs": subnets}


def delete(client: docker.APIClient, identifier: str, _state: Properties) -> None:
    """Remove the network."""
    client.remove_network(identifier)
