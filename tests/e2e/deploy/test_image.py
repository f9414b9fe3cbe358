"""The reaper's image, built and run as the compose file has it."""

import contextlib
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container

from tests.support.docker.socket_proxy import Proxied, ensure
from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.reaper import write_registry
from tests.support.reaper.reaper_program import environment, free_port, wait_for_sweep
from tests.support.waiting import until

BASES = ("python:3.12-slim", "hermes-fleet/base:bookworm")
IMAGE = "hermes-fleet-test/reaper:1"


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


def listens(reaper: Container) -> bool:
    """Tell whether a reaper that must be running says that it listens."""
    reaper.reload()
    assert reaper.status == "running", reaper.logs().decode()
    return b"listening on" in reaper.logs()


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
    os.chown(proxied.socket.parent, 0, 10100)
    proxied.socket.parent.chmod(0o750)
    name = f"{proxied.stack}-reaper"
    reaper = docker_client.containers.run(
        image,
        name=name,
        network_mode="host",
        read_only=True,
        tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        group_add=["10100"],
        environment=told,
        volumes={
            str(tmp_path): {"bind": str(tmp_path), "mode": "ro"},
            str(proxied.socket.parent): {"bind": str(proxied.socket.parent)},
            f"{name}-data": {"bind": "/var/lib/hermes-reaper"},
        },
        mem_limit="512m",
        pids_limit=256,
        detach=True,
    )
    try:
        until(lambda: listens(reaper), 120, reaper.logs)  # it compiles its modules at each start
        wait_for_sweep(f"http://127.0.0.1:{port}")
        assert ensure(port) == 200
        assert b"families awake" in urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()
        assert reaper.exec_run(["python", "-m", "reaper", "explain", "ash"]).exit_code == 0
        assert reaper.exec_run(["id", "-u"]).output == b"10100\n"
    finally:
        reaper.remove(force=True)
        with contextlib.suppress(NotFound):
            docker_client.volumes.get(f"{name}-data").remove()
