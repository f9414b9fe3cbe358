"""A fleet of real agents under test: what a client, a curious neighbour and a forensic eye can do with them."""

import contextlib
import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import ImageNotFound
from docker.models.containers import Container

from fleet.keys import api_key_for
from tests.support.docker import kept_logs
from tests.support.docker.netns import listen_inside
from tests.support.fleet.fleet import FleetUnderTest
from tests.support.fleet.llm_server import MODEL, LlmServer
from tests.support.pulumi.pulumi_stack import LLM_KEY, MASTER_KEY, Provider

LINES = {"0.19": "hermes-fleet/hermes-agent:0.19.0", "0.15": "hermes-fleet/hermes-agent:0.15.1"}
TOOLSETS = ["memory", "session_search", "cronjob", "terminal"]


@dataclass(frozen=True)
class Pair:
    """A Hermes line, and the docker provider that makes its containers; None where no provider is installed."""

    provider: Provider | None
    line: str

    @property
    def name(self) -> str:
        """Return what tests on the pair are called."""
        return f"{self.provider.name if self.provider else 'none'}-{self.line}"


def pairs(lines: Iterable[str], providers: Sequence[Provider]) -> list[Pair]:
    """Return what to test real agents on: every line and every provider once.

    A provider hands the same container to Docker whatever runs in it (`tests/engine` holds them to that), and a boot of
    a real agent is what costs most here.
    """
    return [Pair(provider, line) for line, provider in zip(lines, cycle(providers or [None]), strict=False)]


def image_or_skip(client: docker.DockerClient, image: str) -> str:
    """Return an image that is on the host, or skip."""
    try:
        client.images.get(image)
    except ImageNotFound:
        pytest.skip(f"no image {image}; build it with: make image")
    return image


@dataclass
class AgentFleet(FleetUnderTest):
    """Real agents whose LLM provider is a test server, at the same loopback address inside and outside."""

    llm: LlmServer = field(kw_only=True)
    llm_key: str = LLM_KEY

    def __post_init__(self) -> None:
        """Create the stack with times that a real agent's boot needs, and the preflight on.

        It is not healthy before five seconds, and lives for many tests, each of its healthchecks a tenth of a second.
        """
        super().__post_init__()
        self.stack.configure(
            {
                "llm.base_url": self.llm.url,
                "llm.model": MODEL,
                "llm.context_length": "128000",
                "health.interval": "8",
                "rollout.health_timeout": "90",
                "rollout.stop_grace": "25",
                "rollout.preflight": "true",
            }
        )

    def connect(self, name: str) -> None:
        """Let a running agent reach the LLM provider; each boot needs it again."""
        container = self.container(name)
        self.llm.also_on(listen_inside(container.attrs["State"]["Pid"], self.llm.port))

    def connect_all(self) -> None:
        """Connect every running agent."""
        for entry in self.families:
            if self.state(entry["name"]) == "running":
                self.connect(entry["name"])

    def start(self, name: str) -> None:
        """Start a sleeping agent and wait until it is healthy."""
        self.container(name).start()
        self.wait_healthy(name, seconds=90)
        self.connect(name)

    def restart(self, name: str) -> None:
        """Stop an agent with grace and start it again."""
        self.container(name).stop(timeout=30)
        self.start(name)

    def url(self, name: str) -> str:
        """Return where an agent's API is published on loopback."""
        ports = self.container(name).attrs["NetworkSettings"]["Ports"]["8642/tcp"]
        assert [port["HostIp"] for port in ports] == ["127.0.0.1"]
        return f"http://127.0.0.1:{ports[0]['HostPort']}"

    def key(self, name: str) -> str:
        """Return the API key that belongs to a family."""
        return api_key_for(MASTER_KEY, self.id(name))

    def call(
        self, name: str, path: str, *, key: str | None = None, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Call an agent's API and return status and JSON answer; the family's own key unless another is given."""
        request = urllib.request.Request(
            self.url(name) + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.key(name) if key is None else key}",
                "Content-Type": "application/json",
                **(headers or {}),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def chat(self, name: str, text: str, **headers: str) -> str:
        """Say something to an agent and return its answer."""
        body = {"model": "hermes-agent", "messages": [{"role": "user", "content": text}]}
        named = {header.replace("_", "-"): value for header, value in headers.items()}
        status, answer = self.call(name, "/v1/chat/completions", body=body, headers=named)
        assert status == 200, answer
        return str(answer["choices"][0]["message"]["content"])

    def stream(self, name: str, text: str) -> str:
        """Say something to an agent and return its answer, read from an open stream as it arrives."""
        body = {"model": "hermes-agent", "messages": [{"role": "user", "content": text}], "stream": True}
        request = urllib.request.Request(f"{self.url(name)}/v1/chat/completions", json.dumps(body).encode())
        request.add_header("Authorization", f"Bearer {self.key(name)}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as lines:
            events = [line.removeprefix(b"data: ").strip() for line in lines if line.startswith(b"data: ")]
        assert events[-1] == b"[DONE]", events
        chunks = [json.loads(event) for event in events[:-1]]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)

    def messages(self, name: str) -> list[tuple[str, str]]:
        """Return (role, content) of every message in a family's state.db, oldest first."""
        with sqlite3.connect(f"file:{self.data(name) / 'state.db'}?mode=ro", uri=True) as database:
            return list(database.execute("SELECT role, content FROM messages ORDER BY timestamp"))


# What the fixture `new_agents` hands out: a title for their folder, a pair, their names, maybe an image.
NewAgents = Callable[..., contextlib.AbstractContextManager[AgentFleet]]


@contextlib.contextmanager
def real_agents(
    client: docker.DockerClient, folder: Path, provider: Provider, line: str, *names: str, image: str = ""
) -> Iterator[AgentFleet]:
    """Run real agents of a Hermes line inside the block, all healthy, beside an LLM provider of their own."""
    with LlmServer() as llm:
        reference = image_or_skip(client, image or LINES[line])
        fleet = AgentFleet(client, folder, provider, reference, line, llm=llm)
        fleet.defaults = {"timezone": "Europe/Berlin", "channels": {"sudo_chat": True}, "toolsets": TOOLSETS}
        try:
            try:
                fleet.declare(*names)
                fleet.up()
                fleet.connect_all()
            except BaseException:
                kept_logs.keep([fleet], f"{folder.name}-setup")
                raise
            yield fleet
        finally:
            fleet.clean()


def execute(container: Container, *command: str, user: str = "root") -> tuple[int, str]:
    """Run a command inside a container and return its exit code and output."""
    done = container.exec_run(list(command), user=user)
    return int(done.exit_code), bytes(done.output).decode(errors="replace")  # type: ignore[arg-type]
