"""A stand-in for the agent's image where a test is about rolling, not about Hermes: busybox in upstream's tini layout.

It boots through the real `boot.sh` and answers the real `health.sh`. Files in the data directory make it misbehave:
`sick` (never healthy), `crash` (exits at once), `slow` (seconds until it is healthy). Where the agent has its Python,
which runs the probe, it says what a test wrote into `activity`, or that nothing happens.
"""

import fcntl
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import docker

IMAGE = "hermes-fleet-test/stub"

_TINI = """#!/bin/sh
while [ "$1" != "--" ]; do shift; done
shift
exec "$@"
"""

_ENTRYPOINT = """#!/bin/sh
[ -e /opt/data/crash ] && { echo "crash as told"; exit 3; }
echo "stub agent on $(head -c 200 /opt/data/.env | grep -c .) lines of .env"
[ -e /opt/data/slow ] && sleep "$(cat /opt/data/slow)"
mkdir -p /tmp/www/v1
[ -e /opt/data/sick ] || echo ok > /tmp/www/health
trap 'echo draining; echo stopped > /opt/data/drained; exit 0' TERM
httpd -f -p 8642 -h /tmp/www &
wait
"""

# Each of them: whatever is missing here Docker makes for root alone.
_FOLDERS = (
    *("bin", "usr", "usr/bin", "tmp", "etc", "proc", "sys", "dev"),
    *("opt", "opt/data", "opt/hermes", "opt/hermes/docker", "opt/hermes/.venv", "opt/hermes/.venv/bin"),
)

# As upstream's image has curl. busybox' own wget is called without -T, which some static builds of it crash on.
_CURL = """#!/bin/sh
while [ $# -gt 1 ]; do shift; done
exec wget -q -O - "$1"
"""

_PYTHON = """#!/bin/sh
cd /opt/data
for said in activity.1 activity.2 activity; do
  if [ -e "$said" ]; then cat "$said"; case $said in *.*) rm "$said" ;; esac; exit; fi
done
echo '{"human":null,"any":null,"cron_next":null,"cron_running":0,"active_agents":0,"children":0,"inbound":0}'
"""


def busybox() -> str | None:
    """Return the path of a static busybox, or None."""
    return shutil.which("busybox")


def build(client: docker.DockerClient, variant: str = "1") -> str:
    """Import the image unless it is there, and return its reference; variants are different images."""
    path = busybox()
    assert path, "install it with: apt-get install busybox-static"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in _FOLDERS:
            _folder(tar, folder)
        tar.add(path, "bin/busybox")
        for applet in subprocess.check_output([path, "--list"], text=True).split():
            if applet == "busybox":
                continue
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _file(tar, "usr/bin/tini", _TINI)
        _file(tar, "opt/hermes/docker/entrypoint.sh", _ENTRYPOINT)
        _file(tar, "usr/bin/curl", _CURL)
        _file(tar, "opt/hermes/.venv/bin/python", _PYTHON)
        _file(tar, "etc/passwd", "root:x:0:0::/:/bin/sh\nhermes:x:10000:10000::/opt/data:/bin/sh\n", 0o644)
        _file(tar, "etc/group", "root:x:0:\nhermes:x:10000:\n", 0o644)
        _file(tar, "etc/stub-variant", f"{variant}\n", 0o644)
    content = buffer.getvalue()
    reference = f"{IMAGE}:{hashlib.sha256(content).hexdigest()[:12]}"
    # Every import makes another image, and tests run side by side.
    with (Path(tempfile.gettempdir()) / "hermes-fleet-test-stub.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not client.images.list(name=reference):
            client.api.import_image_from_data(content, repository=IMAGE, tag=reference.rpartition(":")[2])
    return reference


def _folder(tar: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
    tar.addfile(entry)


def _file(tar: tarfile.TarFile, name: str, content: str, mode: int = 0o755) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content.encode()), mode
    tar.addfile(entry, io.BytesIO(content.encode()))
