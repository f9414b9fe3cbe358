"""Families for a race: stand-ins on a Docker daemon that a test may restart, replaced as a roll does it."""

import contextlib
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

from fleet import naming
from tests.support.docker.own_docker import OwnDocker
from tests.support.fleet import stub_agent
from tests.support.fleet.fleet import family
from tests.support.reaper.acting import NOTHING
from tests.support.reaper.reaper_process import ReaperProcess
from tests.support.waiting import until

IDLE_AFTER = 3
STACK = "test-race"
RESTART: Any = {"Name": "unless-stopped"}
NAMES = ("ash", "birch", "cedar", "dogwood")

# Drains for a moment, and tells on whoever ends it in the middle of a chat.
AGENT = """
trap '[ -e /opt/data/activity ] && echo "$HOSTNAME" >> /opt/data/cut_off; sleep 0.3; exit 0' TERM
mkdir -p /tmp/www
echo ok > /tmp/www/health
httpd -f -p 8642 -h /tmp/www &
wait
"""


@dataclass
class RaceFleet:
    """Families whose containers are made and replaced as `pulumi up` does it, on a Docker daemon of their own."""

    own: OwnDocker
    folder: Path
    image: str = ""
    families: list[dict[str, Any]] = field(
        default_factory=lambda: [family(name, sleep={"idle_after": IDLE_AFTER}) for name in NAMES]
    )
    defaults: dict[str, Any] = field(default_factory=dict)
    locks: dict[str, threading.Lock] = field(default_factory=lambda: {name: threading.Lock() for name in NAMES})
    talking: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make everybody's container, awake."""
        self.client = self.own.client()
        self.image = stub_agent.build(self.client)
        self.beside = ReaperProcess(STACK, self, self.folder, stop_grace=2, health_timeout=90)
        self.beside.sleep_rules(**{name: {"idle_after": IDLE_AFTER} for name in NAMES})
        for name in NAMES:
            self.create(name).start()

    @property
    def registry(self) -> Path:
        """Return the registry that the reaper reads."""
        return self.folder / "families-of-the-reaper.yaml"

    def id(self, name: str) -> uuid.UUID:
        """Return a family's id."""
        return next(uuid.UUID(entry["id"]) for entry in self.families if entry["name"] == name)

    def container(self, name: str) -> Container:
        """Return a family's container."""
        return self.client.containers.get(naming.container_name(self.id(name)))

    def create(self, name: str) -> Container:
        """Create a family's container, and its volume where there is none."""
        id_ = self.id(name)
        return self.client.containers.create(
            self.image,
            name=naming.container_name(id_),
            labels=naming.family_labels(STACK, name, id_),
            entrypoint=["/bin/sh", "-c", AGENT],
            volumes={naming.volume_name(id_): {"bind": "/opt/data", "mode": "rw"}},
            ports={"8642/tcp": ("127.0.0.1", 0)},
            restart_policy=RESTART,
            healthcheck={"test": ["CMD", "curl", "http://127.0.0.1:8642/health"], "interval": 1_000_000_000},
        )

    def data(self, name: str) -> Path:
        """Return a family's data directory."""
        return Path(self.client.volumes.get(naming.volume_name(self.id(name))).attrs["Mountpoint"])

    def begin_chat(self, name: str, seconds: float) -> None:
        """Let an agent talk with somebody for that long."""
        written = self.data(name) / "written"
        written.write_text(json.dumps({**NOTHING, "inbound": 1}), encoding="utf-8")
        written.rename(self.data(name) / "activity")
        self.talking[name] = time.monotonic() + seconds

    def end_chat(self, name: str) -> None:
        """Let it fall silent."""
        (self.data(name) / "activity").unlink(missing_ok=True)
        self.talking.pop(name, None)

    def roll(self, name: str) -> None:
        """Replace a container: awake if it was awake. Whoever talks is done by then."""
        with self.locks[name]:
            self.end_chat(name)
            old = self.container(name)
            awake = old.status == "running"
            old.stop(timeout=2)
            until(lambda: self.removed(old), 30)
            new = self.create(name)
            if awake:
                new.start()

    def removed(self, container: Container) -> bool:
        """Remove a container; Docker may refuse as long as somebody reads its files."""
        with contextlib.suppress(APIError):
            container.remove(force=True)
        return container.id not in {found["Id"] for found in self.client.api.containers(all=True)}

    def restart_docker(self) -> None:
        """Restart the daemon when nobody talks: it ends every agent, and brings those back that ran."""
        with contextlib.ExitStack() as held:
            for name in NAMES:
                held.enter_context(self.locks[name])
                self.end_chat(name)
            self.own.restart()

    def cut_off(self) -> list[str]:
        """Return the containers that were stopped in the middle of a chat."""
        found = [self.data(name) / "cut_off" for name in NAMES]
        return [line for path in found if path.exists() for line in path.read_text().splitlines()]
