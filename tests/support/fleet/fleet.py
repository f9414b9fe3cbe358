"""A fleet under test: a registry file, a Pulumi stack, and the Docker host it lands on. Cleans up after itself."""

import contextlib
import secrets
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.errors import NotFound
from docker.models.containers import Container

from fleet import naming
from tests.support.pulumi.pulumi_stack import LLM_KEY, MASTER_KEY, ROOT, Provider, PulumiStack, Run

PLUGINS = ROOT / "plugins"


def family(name: str, **overrides: Any) -> dict[str, Any]:
    """Return a registry entry with an id that only this test knows."""
    return {"name": name, "id": str(uuid.uuid4()), "display_name": f"The {name.title()}s", **overrides}


@dataclass
class FleetUnderTest:
    """One stack and its registry; `families` are registry entries in order, changed in place by tests."""

    client: docker.DockerClient
    folder: Path
    provider: Provider
    image: str
    hermes_line: str = "0.19"
    families: list[dict[str, Any]] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    stack: PulumiStack = field(init=False)
    _ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Create the stack; no provider is asked about keys unless a test wants it.

        The first healthcheck is due after one interval, which each gate waits for; but each one costs a tenth of a
        second of a processor, and a container is asked for as long as it lives.
        """
        self.stack = PulumiStack(self.folder, f"test-{secrets.token_hex(4)}", self.provider)
        self.stack.configure(
            {
                "image": self.image,
                "hermesLine": self.hermes_line,
                "llm.provider": "custom",
                "llm.model": "test-model",
                "llm.base_url": "http://127.0.0.1:9/v1",
                "registry": str(self.registry),
                "pluginsDir": str(PLUGINS),
                "rollout.wave_size": "2",
                "rollout.health_timeout": "18",
                "rollout.stop_grace": "10",
                "rollout.preflight": "false",
                "health.interval": "4",
            },
            {"llmApiKey": LLM_KEY, "masterKey": MASTER_KEY},
        )

    @property
    def registry(self) -> Path:
        """Return the registry file."""
        return self.folder / "families.yaml"

    def write(self) -> None:
        """Write the registry."""
        self._ids |= {entry["id"] for entry in self.families}
        text = yaml.safe_dump({"defaults": self.defaults, "families": self.families}, sort_keys=False)
        self.registry.write_text(text, encoding="utf-8")

    def declare(self, *names: str, **overrides: Any) -> None:
        """Add families to the registry and write it."""
        self.families += [family(name, **overrides) for name in names]
        self.write()

    def entry(self, name: str) -> dict[str, Any]:
        """Return a family's registry entry, to be changed in place."""
        return next(entry for entry in self.families if entry["name"] == name)

    def id(self, name: str) -> uuid.UUID:
        """Return a family's id."""
        return uuid.UUID(self.entry(name)["id"])

    def container(self, name: str) -> Container:
        """Return a family's container."""
        return self.client.containers.get(naming.container_name(self.id(name)))

    def resource(self, name: str) -> str:
        """Return the name of a family's container, which is its Pulumi resource name too."""
        return naming.container_name(self.id(name))

    def volume(self, name: str) -> str:
        """Return the name of a family's volume."""
        return naming.volume_name(self.id(name))

    def put(self, name: str, file: str, content: str = "x") -> None:
        """Write a file into a family's data directory, whether its container runs or not."""
        path = Path(self.client.volumes.get(self.volume(name)).attrs["Mountpoint"]) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def data(self, name: str) -> Path:
        """Return a family's data directory on this machine."""
        return Path(self.client.volumes.get(self.volume(name)).attrs["Mountpoint"])

    def state(self, name: str) -> str:
        """Return Docker's state of a family's container: `running`, `created`, `exited`, or `gone`."""
        try:
            return str(self.container(name).status)
        except NotFound:
            return "gone"

    def ids(self) -> dict[str, str]:
        """Return the container ID of every family that has one: the same ID means it was not replaced."""
        found = {}
        for entry in self.families:
            with contextlib.suppress(NotFound):
                found[entry["name"]] = str(self.container(entry["name"]).id)
        return found

    def wait_healthy(self, *names: str, seconds: float = 60) -> None:
        """Wait until Docker calls these families healthy."""
        deadline = time.monotonic() + seconds
        for name in names:
            while self.container(name).attrs["State"].get("Health", {}).get("Status") != "healthy":
                assert time.monotonic() < deadline, self.container(name).logs().decode()
                time.sleep(0.2)

    def up(self, *args: str, code: int | None = 0) -> Run:
        """Run `pulumi up`."""
        return self.stack.up(*args, code=code)

    def preview(self, *args: str, code: int | None = 0) -> Run:
        """Run `pulumi preview`."""
        return self.stack.preview(*args, code=code)

    def silent(self, *, refreshed: bool = False) -> bool:
        """Tell whether a plan finds nothing to change; `refreshed` compares with what is really there."""
        return self.stack.silent(refreshed=refreshed)

    def clean(self) -> None:
        """Remove every container, volume and network that this stack and its families' names made."""
        for uid in {*self._ids, *(entry["id"] for entry in self.families)}:
            name = naming.container_name(uuid.UUID(uid))
            with contextlib.suppress(NotFound):
                self.client.containers.get(name).remove(force=True)
            with contextlib.suppress(NotFound):
                self.client.volumes.get(f"{name}-data").remove(force=True)
        for network in self.client.networks.list(names=[naming.network_name(self.stack.name)]):
            network.remove()
