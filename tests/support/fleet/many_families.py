"""Makes a stack of many families out of a stack of one: what is derived from name and id is derived for each anew."""

import hashlib
import json
import uuid
from typing import Any

from fleet.keys import api_key_for
from tests.support.fleet.fleet import FleetUnderTest, family
from tests.support.pulumi.pulumi_stack import MASTER_KEY


def multiply(fleet: FleetUnderTest, template: str, count: int) -> list[str]:
    """Write `count` more families like `template` into registry and state, and return their names.

    The template has been brought up; its name occurs nowhere in the state but where the name of the family does. No
    container is made: the state says that they are all there, as it would after an `up`.
    """
    state = fleet.stack.decrypted()
    resources: list[dict[str, Any]] = state["deployment"]["resources"]
    old = fleet.entry(template)
    own = [each for each in resources if each["urn"].rpartition("::")[2].startswith(fleet.resource(template))]
    assert sorted(each["type"].rpartition(":")[2] for each in own) == ["Container", "FamilyRuntime", "Volume"]
    container = str(fleet.container(template).id)
    text = json.dumps(own)
    names = [f"{template}-{number}" for number in range(count)]
    for name in names:
        new = {**old, **family(name), "display_name": old["display_name"]}
        fleet.families.append(new)
        resources += json.loads(_replaced(text, _forms(old, container), _forms(new, _container_id(name))))
    fleet.write()
    file = fleet.folder / "many.json"
    file.write_text(json.dumps(state))
    fleet.stack.run("stack", "import", "--file", str(file), check=True)
    file.unlink()
    return names


def _forms(entry: dict[str, Any], container: str) -> list[str]:
    """Return all that tells a family from another one in the state, the same in every list's place."""
    uid = uuid.UUID(entry["id"])
    return [container, api_key_for(MASTER_KEY, uid), str(uid), uid.hex, entry["name"]]


def _replaced(text: str, old: list[str], new: list[str]) -> str:
    for before, after in zip(old, new, strict=True):
        text = text.replace(before, after)
    return text


def _container_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
