"""Names and labels: how a family, its container, its volume and its stack recognise each other.

The labels are the ownership contract. A container is ours only if its labels say so; a name alone proves nothing.
"""

import re
from collections.abc import Mapping
from uuid import UUID

PREFIX = "hermes-user-"

LABEL_STACK = "hermes.fleet/stack"
LABEL_FAMILY = "hermes.fleet/family"
LABEL_ID = "hermes.fleet/id"
LABEL_CREDENTIALS = "hermes.fleet/credentials"
LABEL_START = "hermes.fleet/start"

# Where the fleet's files, the family's data and the plugins are in every container.
FLEET = "/opt/fleet"
DATA = "/opt/data"
PLUGINS = "/opt/data/plugins"

# The port of the agent's API inside every container.
API_PORT = 8642

AWAKE = "awake"
ASLEEP = "asleep"

_CONTAINER = re.compile(rf"{PREFIX}([0-9a-f]{{32}})")
_ORPHAN = re.compile(rf"{PREFIX}usr_.+")


def container_name(family_id: UUID) -> str:
    """Return the name of the family's container; Pulumi's resource names start with it too."""
    return f"{PREFIX}{family_id.hex}"


def volume_name(family_id: UUID) -> str:
    """Return the name of the volume that holds the family's memory."""
    return f"{container_name(family_id)}-data"


def network_name(stack: str) -> str:
    """Return the name of the stack's bridge network."""
    return f"hermes-fleet-{stack}"


def family_id_from_name(name: str) -> UUID | None:
    """Return the family that a container name stands for, or None for any other name."""
    match = _CONTAINER.fullmatch(name)
    return UUID(match[1]) if match else None


def is_orphan(name: str) -> bool:
    """Tell whether a container name was given by the deployment before this one (`hermes-user-usr_…`)."""
    return _ORPHAN.fullmatch(name) is not None


def owned_by(labels: Mapping[str, str], stack: str, family_id: UUID) -> bool:
    """Tell whether labels say: made by this stack, for this family."""
    return labels.get(LABEL_STACK) == stack and labels.get(LABEL_ID) == str(family_id)


def stack_label(stack: str) -> str:
    """Return what labels and files call a stack: its name without the organization and project it is qualified by."""
    return stack.rpartition("/")[2]


def family_labels(stack: str, slug: str, family_id: UUID) -> dict[str, str]:
    """Return the labels that container and volume of a family share."""
    return {LABEL_STACK: stack, LABEL_FAMILY: slug, LABEL_ID: str(family_id)}
