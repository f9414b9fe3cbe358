"""What a family's container is given, all of it from the registry and the stack's config: see `spec_for`."""

from fleet.container.spec import ContainerSpec, render_all, spec_for

__all__ = ["ContainerSpec", "render_all", "spec_for"]
