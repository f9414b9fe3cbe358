"""A roll of awake families beside what Docker alone takes to stop and start the same ones, wave by wave."""

import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from benchmarks import fleets
from benchmarks.engine import BenchError, Program
from benchmarks.life import NEW_KEY, clean
from fleet import naming
from tests.support.docker.docker_events import watched
from tests.support.fleet import stub_agent

MAX_RATIO = 1.15
FAMILIES, WAVE_SIZE = 6, 2
AGENT = "hermes-fleet/hermes-agent:0.19.0"


@dataclass
class Times:
    """When a family's old container began to stop, and when its new one was healthy, in seconds."""

    stopping: float = 0.0
    healthy: float = 0.0


@dataclass(frozen=True)
class Rolled:
    """One roll. `waves` is what Docker needs for each; `seconds` is from the first stop to the last healthy."""

    image: str
    waves: Sequence[float]
    seconds: float
    up_seconds: float = 0.0

    @property
    def ratio(self) -> float:
        """Return how much longer than Docker alone the roll took."""
        return self.seconds / sum(self.waves)


def failures(rolled: Rolled) -> list[str]:
    """Return what is over the agreed ratio."""
    if rolled.ratio <= MAX_RATIO:
        return []
    return [f"a roll takes {rolled.ratio:.2f} times what Docker takes to stop and start the same families"]


def measure() -> Rolled:
    """Bring families up awake, change the key, and watch the roll; of real agents where their image is here."""
    client = docker.from_env()
    try:
        bench = fleets.Bench("bench-roll", FAMILIES, awake=0, image=_image(client))
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                return _measure(client, bench, Path(folder))
            finally:
                clean(client, bench)
    finally:
        client.close()


def _image(client: docker.DockerClient) -> str:
    try:
        client.images.get(AGENT)
    except ImageNotFound:
        return stub_agent.build(client, "bench")
    return AGENT


def _measure(client: docker.DockerClient, bench: fleets.Bench, folder: Path) -> Rolled:
    registry = fleets.write_registry(bench, folder)
    program = Program("ours", fleets.ROOT, bench.stack, folder / "ours")
    plain, secret = fleets.config(bench, registry)
    plain |= {"newFamilies": "awake", "rollout": {"health_timeout": 120, "preflight": False, "wave_size": WAVE_SIZE}}
    del plain["health"]  # the defaults
    program.configure(plain, secret)
    program.up()
    names = [naming.container_name(fleets.family_id(bench.stack, index)) for index in range(bench.families)]
    alone = [_alone(client, wave) for wave in waves_of(names)]
    program.configure({}, {**secret, "llmApiKey": NEW_KEY})
    times = {name: Times() for name in names}
    with watched(client, names, lambda name, action, at: _take(times[name], action, at)):
        took = program.up()
    return Rolled(bench.image, alone, span(names, times), took.seconds)


def waves_of(names: Sequence[str]) -> list[Sequence[str]]:
    """Return the waves that families in this order are rolled in."""
    return [names[at : at + WAVE_SIZE] for at in range(0, len(names), WAVE_SIZE)]


def _alone(client: docker.DockerClient, names: Sequence[str]) -> float:
    """Stop and start the containers of one wave side by side; return the seconds until the last one is healthy."""

    def again(name: str) -> float:
        begun = time.monotonic()
        container = client.containers.get(name)
        container.stop()
        container.start()
        while client.containers.get(name).attrs["State"]["Health"]["Status"] != "healthy":
            time.sleep(0.05)
        return time.monotonic() - begun

    with ThreadPoolExecutor(len(names)) as pool:
        return max(pool.map(again, names))


def span(names: Sequence[str], times: Mapping[str, Times]) -> float:
    """Return how long all waves took. Raises BenchError where one began before the one before it was healthy."""
    waves = [[times[name] for name in wave] for wave in waves_of(names)]
    for earlier, later in itertools.pairwise(waves):
        if max(each.healthy for each in earlier) > min(each.stopping for each in later):
            raise BenchError("a wave began before the one before it was healthy")
    return max(each.healthy for each in waves[-1]) - min(each.stopping for each in waves[0])


def _take(times: Times, action: str, at: float) -> None:
    if action == "kill" and not times.stopping:
        times.stopping = at
    elif action == "health_status: healthy":
        times.healthy = at
