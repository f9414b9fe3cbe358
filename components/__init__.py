"""The Pulumi components: one family's runtime, and a fleet of them."""

from components.arguments import FleetArguments
from components.family_runtime import FamilyRuntime, FamilyRuntimeArgs
from components.fleet import Fleet

__all__ = ["FamilyRuntime", "FamilyRuntimeArgs", "Fleet", "FleetArguments"]
