"""Follows Docker's events of containers and networks.

Docker keeps only its last 256 events, and every healthcheck makes three: they have to be read as they happen.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from threading import Thread

import docker

Take = Callable[[str, str, float], None]


@contextlib.contextmanager
def watched(client: docker.DockerClient, names: Iterable[str], take: Take) -> Iterator[None]:
    """Call `take` with (name, action, epoch seconds) for each event of containers or networks of these names."""
    wanted = set(names)
    stream = client.events(decode=True, filters={"type": ["container", "network"]})

    def read() -> None:
        for event in stream:
            name = event["Actor"]["Attributes"].get("name", "")
            if name in wanted:
                take(name, event["Action"], event["timeNano"] / 1e9)

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
        reader.join(timeout=0.5)  # the last events are on their way
    finally:
        stream.close()
        reader.join(timeout=5)


@contextlib.contextmanager
def events(client: docker.DockerClient, containers: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
    """Collect (container name, action) of what happens to these containers inside the block, as it happens.

    An action is Docker's word, such as `create` or `health_status: healthy`.
    """
    seen: list[tuple[str, str]] = []

    def take(name: str, action: str, _: float) -> None:
        if not action.startswith("exec_"):
            seen.append((name, action))

    with watched(client, containers, take):
        yield seen
