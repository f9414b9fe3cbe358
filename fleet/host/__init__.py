"""A Docker host: what it shows of the fleet, and what its agents say."""

from fleet.host.inventory import (
    Host,
    Seen,
    address,
    asking,
    connect,
    environment,
    observe,
    observe_containers,
    processors,
)

__all__ = ["Host", "Seen", "address", "asking", "connect", "environment", "observe", "observe_containers", "processors"]
