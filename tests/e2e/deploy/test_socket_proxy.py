"""The socket proxy lets through what the reaper does with containers, and nothing else."""

from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from reaper.engine import DockerEngine
from tests.support.docker.socket_proxy import Proxied, ensure
from tests.support.reaper.reaper import write_registry
from tests.support.reaper.reaper_program import running


def test_everything_that_the_reaper_does_with_containers_passes(
    proxied: Proxied, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """List, inspect by name and ID, the probe, a stop, the schedule of a stopped container, and a start."""
    monkeypatch.setenv("DOCKER_HOST", proxied.host)
    engine = DockerEngine()
    try:
        id_, name = str(container.id), str(container.name)
        assert engine.list()[name].id == engine.inspect(name).id == engine.inspect(id_).id == id_
        assert engine.activity(id_).unread == {}
        engine.stop(id_, 5)
        assert engine.inspect(id_).state == "exited"
        assert engine.next_run(id_, None).unread is None
        engine.start(id_)
        assert engine.inspect(id_).state == "running"
    finally:
        engine.close()


def test_everything_else_is_refused(proxied: Proxied, container: Container, docker_client: docker.DockerClient) -> None:
    """Whatever makes, changes, removes or reads more than the reaper needs: 403, and nothing has happened."""
    id_, foreign = str(container.id), str(proxied.foreign.name)
    create = '{"Image": "none", "HostConfig": {"Binds": ["/:/host"], "Privileged": true}}'
    refused = [
        ("POST", "/containers/create"),
        ("POST", "/v1.41/containers/create?name=evil"),
        ("POST", f"/v1.23/containers/{id_}/start"),  # could carry a HostConfig
        ("POST", f"/v1.8/containers/{id_}/start"),
        ("DELETE", f"/v1.41/containers/{id_}?force=1"),
        *(
            ("POST", f"/v1.41/containers/{id_}/{what}")
            for what in ("attach", "kill", "restart", "rename?name=x", "update")
        ),
        *(("POST", f"/v1.41/containers/{id_}/{what}") for what in ("pause", "wait", "resize", "copy", "prune")),
        *(
            ("GET", f"/v1.41/containers/{id_}/{what}")
            for what in ("logs", "export", "top", "changes", "stats", "attach/ws")
        ),
        ("PUT", f"/v1.41/containers/{id_}/archive?path=/"),
        ("HEAD", f"/v1.41/containers/{id_}/archive?path=/"),
        ("POST", f"/v1.41/containers/{foreign}/stop"),
        ("POST", f"/v1.41/containers/{container.name}/stop"),
        ("GET", f"/v1.41/containers/{foreign}/json"),
        ("POST", "/v1.41/containers/json"),
        ("POST", "/v1.41/commit"),
        ("POST", "/v1.41/build"),
        *(
            ("GET", f"/v1.41/{what}")
            for what in ("info", "events", "images/json", "volumes", "networks", "secrets", "tasks")
        ),
        ("GET", "/v1.41/system/df"),
        ("POST", "/v1.41/images/create?fromImage=alpine"),
        ("DELETE", f"/v1.41/volumes/{container.name}-data"),
        ("POST", "/v1.41/volumes/prune"),
        ("POST", "/v1.41/session"),
        ("POST", "/v1.41/plugins/pull"),
        # Ways around a comparison of paths.
        ("POST", "//containers/create"),
        ("POST", "/v1.41/containers/%63reate"),
        ("GET", "/v1.41/containers/json/../../images/json"),
        ("GET", "/v1.41/containers/json%0a"),
        ("GET", "/v1.41/containers/json%00"),
        ("GET", f"/v1.41/containers/{id_}%2f..%2f..%2fimages/json"),
        ("POST", f"/v1.41/containers/{id_}/start/../../create"),
        ("GET", "/v1.41/images/json?/containers/json"),
        ("GET", "http://docker/v1.41/images/json"),
    ]
    answers = {(method, path): proxied.ask(method, path, create) for method, path in refused}
    assert {asked: status for asked, status in answers.items() if status not in {403, 400}} == {}
    assert answers["POST", "/containers/create"] == answers["DELETE", f"/v1.41/containers/{id_}?force=1"] == 403
    proxied.foreign.reload()
    container.reload()
    assert container.status == "running"
    assert docker_client.volumes.get(f"{container.name}-data")


def test_the_reaper_wakes_a_family_from_behind_the_proxy(
    proxied: Proxied, container: Container, tmp_path: Path
) -> None:
    """`python -m reaper run` with no socket but the proxy's: a family that sleeps is had by HTTP."""
    container.stop(timeout=0)
    registry = write_registry(tmp_path, [proxied.family])
    with running(tmp_path, proxied.stack, registry, proxied.host, SWEEP_EVERY="3600") as reaper:
        assert ensure(reaper.port) == 200
        container.reload()
        assert container.status == "running"
