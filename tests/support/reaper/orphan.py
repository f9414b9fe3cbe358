"""A container of an old deployment: no registry can give its name."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import docker
from docker.errors import NotFound
from docker.models.containers import Container

from fleet.host import ContainerSummary
from reaper.engine import DockerEngine

DRAINS = "trap 'exit 0' TERM; sleep 600 & wait"


@contextlib.contextmanager
def orphan(client: docker.DockerClient, image: str, script: str = DRAINS, **options: Any) -> Iterator[Container]:
    """Yield a container of an old deployment that runs a script."""
    name = f"hermes-user-usr_{uuid.uuid4().hex}"
    container = client.containers.run(
        image,
        [script],
        name=name,
        entrypoint=["/bin/sh", "-c"],
        detach=True,
        network_mode="none",
        volumes={f"{name}-data": {"bind": "/opt/data"}},
        **options,
    )
    try:
        yield container
    finally:
        with contextlib.suppress(NotFound):
            container.remove(force=True)
        with contextlib.suppress(NotFound):
            client.volumes.get(f"{name}-data").remove()


class OnlyThese(DockerEngine):
    """Docker, limited to some containers."""

    def __init__(self, *names: str) -> None:
        """List only these containers."""
        self._names = names

    def list(self) -> dict[str, ContainerSummary]:
        """List them."""
        return {name: seen for name, seen in super().list().items() if name in self._names}
