"""A family behind the socket proxy."""

import secrets
import subprocess
import uuid
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from fleet import naming
from tests.support.docker.socket_proxy import Proxied, find_nginx
from tests.support.fleet.fleet import family
from tests.support.pulumi.pulumi_stack import ROOT

CONFIG = ROOT / "deploy" / "socket-proxy.conf"
AGENT = "echo ok >/tmp/health; exec httpd -f -p 8642 -h /tmp"


@pytest.fixture(scope="module")
def proxied(
    docker_client: docker.DockerClient, stub_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """Run the committed configuration on another socket, with a running family behind it."""
    nginx = find_nginx()
    if not nginx:
        pytest.skip("no nginx; get it with: apt-get install --no-install-recommends nginx (make test unpacks it)")
    folder, stack = tmp_path_factory.mktemp("proxy"), f"test-{secrets.token_hex(4)}"
    entry = family("ash", sleep={"idle_after": 1})
    family_id = uuid.UUID(entry["id"])
    network = docker_client.networks.create(f"hermes-fleet-{stack}")
    made: list[Container] = []
    config = CONFIG.read_text().replace("/tmp/", f"{folder}/")  # noqa: S108 - the proxy's own, in its container
    config = config.replace("/run/docker-proxy/", f"{folder}/")
    (folder / "proxy.conf").write_text(config)
    process = subprocess.Popen(
        [nginx, "-e", "stderr", "-p", str(folder), "-g", "daemon off;", "-c", str(folder / "proxy.conf")]
    )
    try:
        for name, labels in (
            (naming.container_name(family_id), naming.family_labels(stack, "ash", family_id)),
            (f"{stack}-foreign", {}),
        ):
            command = ["/bin/sh", "-c", AGENT]
            ports: dict[str, int | list[int] | tuple[str, int] | None] = {f"{naming.API_PORT}/tcp": ("127.0.0.1", 0)}
            made.append(
                docker_client.containers.run(
                    stub_image,
                    command,
                    name=name,
                    labels=labels,
                    ports=ports,
                    network=network.name,
                    volumes={f"{name}-data": {"bind": "/opt/data"}},
                    stop_signal="SIGKILL",
                    detach=True,
                )
            )
        yield Proxied(folder / "docker.sock", stack, entry, *made)
    finally:
        process.terminate()
        process.wait(timeout=10)
        for container in made:
            container.remove(force=True)
            docker_client.volumes.get(f"{container.name}-data").remove()
        network.remove()


@pytest.fixture
def container(proxied: Proxied) -> Container:
    """Return the family's container, running."""
    proxied.container.start()
    return proxied.container
