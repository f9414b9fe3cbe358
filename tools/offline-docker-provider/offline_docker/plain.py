"""docker:index/network:Network and docker:index/volume:Volume, made of a name, labels and little else."""

import time
from dataclasses import dataclass, field, replace

from docker import APIClient
from docker.errors import APIError

from offline_docker.daemon import kept, message_of
from offline_docker.properties import NAME, NEEDED, Prop, Properties, Spec

LABELS = Prop(set, replaces=True, item=Prop(dict, fields={"label": NEEDED, "value": NEEDED}))


def label_map(inputs: Properties) -> dict[str, str]:
    """Return declared labels as Docker takes them."""
    return {each["label"]: each["value"] for each in inputs.get("labels", [])}


@dataclass(frozen=True)
class Plain:
    """A kind of resource whose properties are docker-py's arguments, and the capitalized keys of Docker's answer."""

    noun: str
    SPEC: Spec
    arguments: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)

    def create(self, client: APIClient, inputs: Properties) -> tuple[str, Properties]:
        """Create the resource. A volume of its name is adopted: a family that comes back finds its data."""
        made = getattr(client, f"create_{self.noun}")(**{**inputs, **self.arguments, "labels": label_map(inputs)})
        identifier = made.get("Id") or made["Name"]
        with kept(identifier):
            return identifier, {**self.read(client, identifier, self.outputs), **inputs}

    def read(self, client: APIClient, identifier: str, state: Properties) -> Properties:
        """Return the resource's state."""
        found = getattr(client, f"inspect_{self.noun}")(identifier)
        labels = [{"label": label, "value": value} for label, value in (found["Labels"] or {}).items()]
        return {**state, **{name: found[name.capitalize()] for name in self.SPEC}, "labels": labels}

    def delete(self, client: APIClient, identifier: str, _state: Properties) -> None:
        """Remove the resource. A network may still have the endpoints of a container that is just being removed."""
        for seconds_left in range(30, -1, -1):
            try:
                getattr(client, f"remove_{self.noun}")(identifier)
            except APIError as error:
                if "has active endpoints" not in message_of(error) or not seconds_left:
                    raise
                time.sleep(1)
            else:
                return


SETTING = Prop(str, replaces=True, computed=True)
VOLUME = Plain("volume", {"name": NAME, "labels": LABELS})
NETWORK = Plain(
    "network",
    {"name": NAME, "driver": SETTING, "options": replace(SETTING, kind=dict), "labels": LABELS},
    arguments={"check_duplicate": True},
    outputs={"ipamDriver": "default"},
)
