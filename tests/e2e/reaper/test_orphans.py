"""Orphans that Docker itself does not remove, on real Docker."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from fleet.host import Seen
from reaper.clock import Clock
from reaper.engine import DockerEngine
from reaper.orphans import orphans
from tests.support.reaper import make_reaper


@pytest.fixture
def left(docker_client: docker.DockerClient, stub_image: str) -> Iterator[list[Container]]:
    """Yield an orphan that is paused and one that Docker starts again and again."""
    with contextlib.ExitStack() as removed:

        def leave(script: str) -> Container:
            container = docker_client.containers.run(
                stub_image,
                [script],
                name=f"hermes-user-usr_{uuid.uuid4().hex}",
                entrypoint=["/bin/sh", "-c"],
                detach=True,
                network_mode="none",
                restart_policy={"Name": "always"},
            )
            removed.callback(_remove, container)
            return container

        paused, restarting = leave("trap 'exit 0' TERM; sleep 600 & wait"), leave("exit 1")
        paused.pause()
        yield [paused, restarting]


def test_orphans_that_are_paused_or_restarting_are_removed(
    docker_client: docker.DockerClient, left: list[Container], tmp_path: Path
) -> None:
    """Docker refuses both as they are; stopped first, they go."""
    paused, restarting = left
    # Docker waits ever longer before it starts one again: by then for seconds.
    while restarting.attrs["RestartCount"] < 6 or restarting.status != "restarting":
        time.sleep(0.05)
        restarting.reload()
    context = make_reaper(tmp_path, []).context
    names = [str(paused.name), str(restarting.name)]
    context.clock, context.engine = Clock(), OnlyThese(*names)
    try:
        assert {each.done for each in orphans(context, remove=True)} == {"removed; its volumes are kept"}
    finally:
        context.close()
    assert not docker_client.containers.list(all=True, filters={"name": names})


def _remove(container: Container) -> None:
    with contextlib.suppress(NotFound):
        container.remove(force=True)


class OnlyThese(DockerEngine):
    """Real Docker, where other people's containers are not seen."""

    def __init__(self, *names: str) -> None:
        """See only these containers."""
        self._names = names

    def list(self) -> dict[str, Seen]:
        """List them."""
        return {name: seen for name, seen in super().list().items() if name in self._names}
