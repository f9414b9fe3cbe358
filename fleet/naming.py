"""Names, labels and paths of containers, volumes and networks.

The labels are the ownership contract: a container belongs to a stack if its labels say so, whatever its name is.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

# Names
PREFIX = "hermes-user-"

# Labels, and the values of LABEL_START
LABEL_STACK = "hermes.fleet/stack"
LABEL_FAMILY = "hermes.fleet/family"
LABEL_ID = "hermes.fleet/id"
LABEL_CREDENTIALS = "hermes.fleet/credentials"
LABEL_START = "hermes.fleet/start"
AWAKE = "awake"
ASLEEP = "asleep"

# Inside every container: the fleet's files, the family's data, its plugins, and the port of the agent's API
FLEET = "/opt/fleet"
DATA = "/opt/data"
PLUGINS = "/opt/data/plugins"
API_PORT = 8642


def container_name(family_id: UUID) -> str:
    """Return the name of the family's container; names of Pulumi's resources start with it too."""
    return f"{PREFIX}{family_id.hex}"


def volume_name(family_id: UUID) -> str:
    """Return the name of the volume that holds the family's memory."""
    return f"{container_name(family_id)}-data"


def network_name(stack: str) -> str:
    """Return the name of the stack's bridge network."""
    return f"hermes-fleet-{stack}"


@lru_cache(maxsize=16384)  # a sweep asks for each family several times
def family_id_from_name(name: str) -> UUID | None:
    """Return the id of the family whose container has this name, or None for any other name."""
    match = re.fullmatch(rf"{PREFIX}([0-9a-f]{{32}})", name)
    return UUID(match[1]) if match else None


def is_orphan(name: str) -> bool:
    """Tell whether the deployment before this one gave a container its name (`hermes-user-usr_…`)."""
    return re.fullmatch(rf"{PREFIX}usr_.+", name) is not None


def owned_by(labels: Mapping[str, str], stack: str, family_id: UUID) -> bool:
    """Tell whether labels name this stack and this family."""
    return labels.get(LABEL_STACK) == stack and labels.get(LABEL_ID) == str(family_id)


def stack_label(stack: str) -> str:
    """Return the name of a stack in labels and files: without organization and project (`acme/hermes-fleet/prod`)."""
    return stack.rpartition("/")[2]


def family_labels(stack: str, slug: str, family_id: UUID) -> dict[str, str]:
    """Return the labels that a family's container and volume share."""
    return {LABEL_STACK: stack, LABEL_FAMILY: slug, LABEL_ID: str(family_id)}
