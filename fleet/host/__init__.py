"""A Docker host: the client, the fleet's inventory, images, and what agents are doing."""

from fleet.host.client import address, connect, daemon_errors, environment
from fleet.host.inventory import ContainerSummary, Inventory, list_containers, list_fleet

__all__ = [
    "ContainerSummary",
    "Inventory",
    "address",
    "connect",
    "daemon_errors",
    "environment",
    "list_containers",
    "list_fleet",
]
