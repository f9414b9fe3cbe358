"""The Pulumi components: one family's runtime, and the fleet of them."""

from components.family_runtime import FamilyRuntime, FamilyRuntimeArgs
from components.fleet import Fleet, FleetArgs

__all__ = ["FamilyRuntime", "FamilyRuntimeArgs", "Fleet", "FleetArgs"]
