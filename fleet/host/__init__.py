"""A Docker host: what it shows of the fleet, and what its agents say."""

from fleet.host.client import address, asking, connect, environment, processors
from fleet.host.inventory import ContainerSummary, Inventory, list_containers, list_fleet

__all__ = [
    "ContainerSummary",
    "Inventory",
    "address",
    "asking",
    "connect",
    "environment",
    "list_containers",
    "list_fleet",
    "processors",
]
