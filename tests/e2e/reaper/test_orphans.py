"""Orphans that Docker removes only after a stop, on real Docker."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from reaper.clock import Clock
from reaper.orphans import orphans
from tests.support.reaper.orphan import OnlyThese, orphan
from tests.support.reaper.reaper import make_reaper


@pytest.fixture
def left(docker_client: docker.DockerClient, stub_image: str) -> Iterator[list[Container]]:
    """Yield an orphan that is paused and one that Docker starts again and again."""
    always: dict[str, Any] = {"restart_policy": {"Name": "always"}}
    with (
        orphan(docker_client, stub_image, **always) as paused,
        orphan(docker_client, stub_image, "exit 1", **always) as restarting,
    ):
        paused.pause()
        yield [paused, restarting]


def test_orphans_that_are_paused_or_restarting_are_removed(
    docker_client: docker.DockerClient, left: list[Container], tmp_path: Path
) -> None:
    """Docker refuses to remove both unless they are stopped first."""
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
