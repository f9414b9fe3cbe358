"""What `deploy/` holds, started for real: the socket proxy, the reaper behind it, and the reaper's image."""

import contextlib
import http.client
import os
import secrets
import shutil
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container

from fleet import identity
from reaper.engine import DockerEngine
from tests.support.fleet import family
from tests.support.pulumi_stack import ROOT
from tests.support.reaper import ADMIN_TOKEN, write_registry
from tests.support.reaper_program import environment, free_port, running, wait_for_sweep

CONFIG = ROOT / "deploy" / "socket-proxy.conf"
BASES = ("python:3.12-slim", "hermes-fleet/base:bookworm")
IMAGE = "hermes-fleet-test/reaper:1"
AGENT = "echo ok >/tmp/health; exec httpd -f -p 8642 -h /tmp"


@dataclass(frozen=True)
class Proxied:
    """A proxy in front of the daemon, a family's container, and one that is none of the reaper's business."""

    port: int
    stack: str
    family: dict[str, object]
    container: Container
    foreign: Container

    @property
    def host(self) -> str:
        """Return what to set DOCKER_HOST to."""
        return f"tcp://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: str | None = None) -> int:
        """Send a request as it is written, and return the status of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path)
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body or "")))
            connection.endheaders((body or "").encode())
            return connection.getresponse().status
        finally:
            connection.close()


def find_nginx() -> str | None:
    """Return an nginx that runs here: an installed one, or the one that `make test` unpacks."""
    for found in (shutil.which("nginx"), str(ROOT / ".tools" / "nginx" / "usr" / "sbin" / "nginx")):
        if (
            found
            and Path(found).exists()
            and subprocess.run([found, "-v"], capture_output=True, check=False).returncode == 0
        ):
            return found
    return None


@pytest.fixture(scope="module")
def proxied(
    docker_client: docker.DockerClient, stub_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """Run the committed configuration on another port, with a running family behind it."""
    nginx = find_nginx()
    if not nginx:
        pytest.skip("no nginx; get it with: apt-get install --no-install-recommends nginx (make test unpacks it)")
    folder, port, stack = tmp_path_factory.mktemp("proxy"), free_port(), f"test-{secrets.token_hex(4)}"
    entry = family("ash", sleep={"idle_after": 1})
    family_id = uuid.UUID(entry["id"])
    network = docker_client.networks.create(f"hermes-fleet-{stack}")
    made: list[Container] = []
    config = CONFIG.read_text().replace("127.0.0.1:2375", f"127.0.0.1:{port}")
    config = config.replace("/tmp/", f"{folder}/")  # noqa: S108 - the proxy's own, in its container
    (folder / "proxy.conf").write_text(config)
    process = subprocess.Popen(
        [nginx, "-e", "stderr", "-p", str(folder), "-g", "daemon off;", "-c", str(folder / "proxy.conf")]
    )
    try:
        for name, labels in (
            (identity.container_name(family_id), identity.family_labels(stack, "ash", family_id)),
            (f"{stack}-foreign", {}),
        ):
            command = ["/bin/sh", "-c", AGENT]
            ports: dict[str, int | list[int] | tuple[str, int] | None] = {f"{identity.API_PORT}/tcp": ("127.0.0.1", 0)}
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
        yield Proxied(port, stack, entry, *made)
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
        assert engine.next_run(id_).unread is None
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
    before = {each.id for each in docker_client.containers.list(all=True)}
    answers = {(method, path): proxied.ask(method, path, create) for method, path in refused}
    assert {asked: status for asked, status in answers.items() if status not in {403, 400}} == {}
    assert answers["POST", "/containers/create"] == answers["DELETE", f"/v1.41/containers/{id_}?force=1"] == 403
    assert before <= {each.id for each in docker_client.containers.list(all=True)}
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


def ensure(port: int) -> int:
    """Ask for the family, and return the status of the answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/families/ash/ensure", method="POST")
    request.add_header("Authorization", f"Bearer {ADMIN_TOKEN}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        status: int = answer.status
        return status


@pytest.fixture(scope="module")
def image(docker_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the reaper's image, on a base that is here, with this machine's certificates and package index.

    It stays, so that the next build takes its layers from Docker's cache; the one before goes.
    """
    base = next((name for name in BASES if _id_of(docker_client, name)), None)
    if not base:
        pytest.skip(
            f"no image {BASES[0]}; get it with: docker pull {BASES[0]} (or a base without a registry: make image)"
        )
    folder = tmp_path_factory.mktemp("image")
    shutil.copy(os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt"), folder / "certificates.crt")
    (folder / "Dockerfile").write_text(
        f"FROM {base}\nCOPY certificates.crt /etc/ssl/certs/ca-certificates.crt\n"
        "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt\n"
    )
    index = ["--build-arg", f"PIP_INDEX_URL={os.environ['PIP_INDEX_URL']}"] if "PIP_INDEX_URL" in os.environ else []
    before = _id_of(docker_client, IMAGE)
    _build("--tag", f"{IMAGE}-base", str(folder))
    done = _build(*index, "--build-arg", f"BASE={IMAGE}-base", "--tag", IMAGE, "--file", "deploy/Dockerfile", ".")
    if done.returncode and "Could not fetch URL" in done.stdout + done.stderr:
        pytest.skip("no package index can be reached from a build; set one with: export PIP_INDEX_URL=…")
    assert done.returncode == 0, done.stdout + done.stderr
    if before and before != _id_of(docker_client, IMAGE):
        docker_client.images.remove(before)
    return IMAGE


def _build(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "build", "--quiet", "--force-rm", "--network", "host", *words],
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def _id_of(client: docker.DockerClient, name: str) -> str | None:
    try:
        return client.images.get(name).id
    except ImageNotFound:
        return None


def test_the_image_runs_as_the_compose_file_has_it(
    proxied: Proxied, container: Container, image: str, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    """Read-only, without a capability, as its own user: it sweeps, answers its health check, and wakes a family."""
    container.stop(timeout=0)
    registry = write_registry(tmp_path, [proxied.family])
    port = free_port()
    told = environment(tmp_path, proxied.stack, registry, proxied.host, LISTEN=f"127.0.0.1:{port}", OPEN_STATUS="1")
    told = {name: value for name, value in told.items() if name.startswith(("HERMES_FLEET_", "DOCKER_HOST"))}
    told["HERMES_FLEET_DB"] = "/var/lib/hermes-reaper/reaper.db"
    for secret in ("key", "admin"):
        os.chown(tmp_path / secret, 10100, 10100)
        (tmp_path / secret).chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    name = f"{proxied.stack}-reaper"
    reaper = docker_client.containers.run(
        image,
        name=name,
        network_mode="host",
        read_only=True,
        tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        environment=told,
        volumes={
            str(tmp_path): {"bind": str(tmp_path), "mode": "ro"},
            f"{name}-data": {"bind": "/var/lib/hermes-reaper"},
        },
        mem_limit="512m",
        pids_limit=256,
        detach=True,
    )
    try:
        for _ in range(300):
            reaper.reload()
            assert reaper.status == "running", reaper.logs().decode()
            if b"listening on" in reaper.logs():
                break
            time.sleep(0.1)
        wait_for_sweep(f"http://127.0.0.1:{port}")
        assert ensure(port) == 200
        assert b"families awake" in urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()
        assert reaper.exec_run(["python", "-m", "reaper", "explain", "ash"]).exit_code == 0
        assert reaper.exec_run(["id", "-u"]).output == b"10100\n"
    finally:
        reaper.remove(force=True)
        with contextlib.suppress(NotFound):
            docker_client.volumes.get(f"{name}-data").remove()
