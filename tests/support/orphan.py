"""A container as an old deployment left them: its name is one that no registry can give."""

import contextlib
import uuid
from collections.abc import Iterator

from docker.errors import NotFound

from tests.support.acting import ActingFleet


@contextlib.contextmanager
def orphan(fleet: ActingFleet) -> Iterator[str]:
    """Yield the name of a running container as an old deployment left them."""
    name = f"hermes-user-usr_{uuid.uuid4().hex}"
    container = fleet.client.containers.run(
        fleet.image,
        ["trap 'exit 0' TERM; sleep 600 & wait"],
        name=name,
        entrypoint=["/bin/sh", "-c"],
        detach=True,
        network_mode="none",
        volumes={f"{name}-data": {"bind": "/opt/data"}},
    )
    try:
        yield name
    finally:
        with contextlib.suppress(NotFound):
            container.remove(force=True)
        with contextlib.suppress(NotFound):
            fleet.client.volumes.get(f"{name}-data").remove()
