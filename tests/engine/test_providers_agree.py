"""The same program under the real engine, with the official docker provider and with the offline one.

Each test lets both live through the same and compares what was seen, step by step. A difference is a failure.
"""

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from tests.support.pulumi.providers import both_providers
from tests.support.pulumi.pulumi_stack import Provider, PulumiStack, Run

PROGRAM = Path(__file__).parent.parent / "support" / "pulumi" / "agree_program"
SECRET = "PLANTED-secret/1"
Observed = list[Any]


class ProgramStack(PulumiStack):
    """A stack of the small program, whose config file lies beside it."""

    @property
    def config_file(self) -> Path:
        """Return the stack's config file."""
        return self.project / f"Pulumi.{self.name}.yaml"


@dataclass
class Life:
    """One provider's life with the program; `name` is that of all it makes, `text` its last preview."""

    client: docker.DockerClient
    provider: Provider
    folder: Path
    image: str
    name: str = field(default_factory=lambda: f"test-agree-{secrets.token_hex(4)}")
    given: dict[str, Any] = field(default_factory=dict)
    stack: ProgramStack = field(init=False)
    text: str = ""

    def __post_init__(self) -> None:
        """Create the stack."""
        shutil.copytree(PROGRAM, self.folder / "program")
        self.stack = ProgramStack(self.folder, self.name, self.provider, project=self.folder / "program")
        self.declare()

    def declare(self, *, secret: str = SECRET, sick: bool = False, replace: bool = True, **inputs: object) -> None:
        """Set what the program declares from now on."""
        given = {"name": self.name, "image": self.image, "secret": secret, "sick": sick, "replace": replace}
        given["hash"] = hashlib.sha256((self.folder / "program" / "health.sh").read_bytes()).hexdigest()
        self.stack.environment["AGREE"] = json.dumps({**given, "inputs": inputs})

    def plan(self) -> Any:
        """Return what a preview says, in every detail that the engine has from the provider."""
        self.text = self.stack.preview("--diff", code=None).text
        seen = []
        for line in (self.folder / "events.jsonl").read_text().splitlines():
            metadata = json.loads(line).get("resourcePreEvent", {}).get("metadata", {})
            if "docker:" in metadata.get("type", ""):
                keys, paths = sorted(set(metadata.get("keys") or [])), metadata.get("detailedDiff")
                seen.append((metadata["type"], metadata["op"], keys, paths, sorted(metadata.get("diffs") or [])))
        return sorted(seen, key=str)

    def did(self, run: Run) -> Any:
        """Return what a command came to."""
        steps = sorted(step for step in run.steps if step[1] != "Stack")
        return run.code, steps, "hook: create of container failed" in run.text

    def container(self) -> Any:
        """Return the state of the container, and whether it is healthy."""
        try:
            state = self.client.api.inspect_container(self.name)["State"]
        except NotFound:
            return "gone"
        return state["Status"], state.get("Health", {}).get("Status") == "healthy"

    def id(self) -> str:
        """Return the container's id."""
        return str(self.client.containers.get(self.name).id)

    def resource(self, kind: str) -> dict[str, Any]:
        """Return a resource of the state."""
        return next(each for each in self.stack.resources() if each["type"].endswith(f":{kind}"))

    def clean(self) -> None:
        """Remove what was made."""
        with contextlib.suppress(NotFound):
            self.client.containers.get(self.name).remove(force=True)
        for network in self.client.networks.list(names=[self.name]):
            network.remove()
        with contextlib.suppress(NotFound):
            self.client.volumes.get(self.name).remove(force=True)


@pytest.fixture
def lives(docker_client: docker.DockerClient, stub_image: str, pulumi_cli: str, tmp_path: Path) -> Iterator[list[Life]]:
    """Yield one life per provider; both must be here."""
    assert pulumi_cli
    made = [Life(docker_client, each, tmp_path / each.name, stub_image) for each in both_providers()]
    yield made
    for life in made:
        life.clean()


def live(lives: list[Life], story: Callable[[Life], Observed]) -> Observed:
    """Let all live through a story side by side; return what they saw when they saw the same."""
    with ThreadPoolExecutor() as pool:
        official, offline = pool.map(story, lives)
    for step, (one, other) in enumerate(zip(official, offline, strict=True)):
        assert json.loads(json.dumps(other)) == json.loads(json.dumps(one)), f"step {step}"
    return official


def test_a_life_without_trouble(lives: list[Life]) -> None:
    """Up, sleep, refresh, a new secret and the end are the same; no secret is ever in the clear."""

    def story(life: Life) -> Observed:
        seen: Observed = [life.did(life.stack.up()), life.container()]
        life.client.containers.get(life.name).stop(timeout=1)
        seen += [life.plan(), life.did(life.stack.refresh()), life.plan(), life.container()]
        before = life.id()
        life.declare(secret="PLANTED-secret/2", start=False, wait=False)
        seen += [life.plan(), "PLANTED" in life.text, life.did(life.stack.up()), life.container(), before == life.id()]
        seen += [life.plan(), "PLANTED" in life.stack.state_file.read_text()]
        return [*seen, life.stack.run("destroy", "--yes").code, life.container(), len(volumes(life))]

    seen = live(lives, story)
    assert seen[1] == ("running", True)
    assert {step[1] for plan in (seen[2], seen[4], seen[11]) for step in plan} == {"same"}
    assert seen[5] == ("exited", False)
    assert seen[7] is False
    assert seen[9:11] == [("created", False), False]
    assert seen[12:] == [False, 0, "gone", 1]


def volumes(life: Life) -> list[Any]:
    """Return the volumes of a life."""
    return list(life.client.volumes.list(filters={"name": life.name}))


def test_a_failed_gate(lives: list[Life]) -> None:
    """A sick container fails the update with the hook run, is kept as failed, and is replaced and gated again.

    So it is after a refresh, too; the one that heals is gated a last time.
    """

    def story(life: Life) -> Observed:
        life.declare(sick=True)
        seen: Observed = [life.did(life.stack.up(code=None)), life.container(), life.plan()]
        state, first = life.resource("Container"), life.id()
        seen += [state["id"] == first, [each.replace(life.name, "") for each in state["initErrors"]]]
        seen += [life.did(life.stack.up(code=None)), first == life.id(), life.container()]
        seen += [life.did(life.stack.refresh()), life.plan(), "initErrors" in life.resource("Container")]
        life.declare()
        return [*seen, life.did(life.stack.up()), life.container(), life.plan()]

    seen = live(lives, story)
    assert seen[0][0] != 0
    assert seen[0][2]
    assert seen[1] == ("running", False)
    assert seen[5][0] != 0
    assert seen[6] is False


def test_behind_pulumis_back(lives: list[Life]) -> None:
    """A container removed by hand is seen by a refresh only, and then made again; limits changed by hand are drift.

    Where not everything replaces, the same inputs are changed on the running container.
    """

    def story(life: Life) -> Observed:
        life.stack.up()
        life.client.containers.get(life.name).remove(force=True)
        seen: Observed = [life.plan(), life.did(life.stack.refresh()), life.did(life.stack.up())]
        life.client.api.update_container(life.name, mem_limit="80m", memswap_limit="80m")
        seen += [life.did(life.stack.refresh()), life.plan(), life.did(life.stack.up()), life.container()]
        before = life.id()
        life.declare(replace=False, memory=80, memory_swap=160, restart="no")
        seen += [life.plan(), life.did(life.stack.up()), before == life.id(), life.plan()]
        host = life.client.api.inspect_container(life.name)["HostConfig"]
        return [*seen, [host[key] for key in ("Memory", "MemorySwap", "NanoCpus")], host["RestartPolicy"]]

    seen = live(lives, story)
    assert {step[1] for step in seen[0]} == {"same"}
    assert seen[9] is True
    assert seen[11] == [80 * 2**20, 160 * 2**20, 500_000_000]


def test_a_missing_daemon_stops_a_preview(lives: list[Life]) -> None:
    """Without a daemon a preview stops with the same words."""

    def story(life: Life) -> Observed:
        life.stack.docker_host = f"unix://{life.folder}/none.sock"
        run = life.stack.preview(code=None)
        return [run.code, "failed to connect to any docker daemon" in run.text]

    assert live(lives, story)[1] is True


@pytest.mark.parametrize("first", [0, 1], ids=["official first", "offline first"])
def test_one_takes_over_from_the_other(lives: list[Life], first: int) -> None:
    """A stack that one provider made is no change to the other, before and after a refresh."""
    life, other = lives[first], lives[1 - first].provider
    life.stack.up()
    life.stack.provider = other
    plan = life.plan()
    assert {step[1] for step in plan} == {"same"}
    life.stack.refresh()
    assert life.plan() == plan
    life.declare(secret="PLANTED-secret/2")
    life.stack.up()
    assert life.container() == ("running", True)


def test_the_offline_provider_keeps_to_its_stacks(lives: list[Life]) -> None:
    """A stack of any other name is refused, with the way out."""
    offline = lives[1].stack
    offline.environment["PULUMI_STACK_NAME"] = offline.name
    offline.run("stack", "init", "prod", "--no-select", "--secrets-provider", "passphrase", check=True)
    offline.name = "prod"
    said = offline.preview(code=None)
    assert said.code != 0
    assert "serves only `dev` and `test-…`; install the official plugin" in said.text


def test_the_offline_provider_names_what_it_does_not_implement(lives: list[Life]) -> None:
    """A property that it does not implement is refused by name, before anything is made."""
    life = lives[1]
    life.declare(privileged=True, healthcheck={"tests": ["CMD", "true"], "interval": "soon"}, must_run=True)
    said = life.stack.up(code=None)
    assert said.code != 0
    for name in ("privileged", "healthcheck.interval", "mustRun"):
        assert name in said.text
    assert life.container() == "gone"
