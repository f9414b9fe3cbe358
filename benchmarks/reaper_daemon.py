"""The reaper among 200 containers of the local Docker daemon: a sweep, `ensure` on a running family, a cold wake."""

import http.client
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from benchmarks import fleets
from benchmarks.reaper_figures import BY_CPU, BY_WALL, UNJUDGED, Figure, p95
from fleet import naming
from fleet.registry import Family, load_registry
from reaper.context import Context, make_context
from reaper.engine import container_details, healthy
from reaper.settings import ReaperSettings
from reaper.sweep.sweeper import Sweeper
from reaper.wake.waker import Waker
from tests.support.fleet import stub_agent
from tests.support.reaper.reaper import ADMIN_TOKEN, REAPER_KEY
from tests.support.reaper.reaper_program import Program, running

FAMILIES = 200
RUNNING = 20
SWEEPS = 5
# Below the burst that the API allows one family.
REQUESTS = 200
ROUNDS = 3
WAKES = 15
STACK = "bench-reaper"

SWEEP_MS = 1000.0
ENSURE_MS = 10.0
WAKE_MS = 100.0

# Seconds, as long as a real agent takes to boot.
_BOOT_SECONDS = 1.5
_SERVE = f"exec httpd -f -p {naming.API_PORT} -h /tmp/www"
_AGENT = f"mkdir -p /tmp/www; sleep {_BOOT_SECONDS}; echo ok >/tmp/www/health; {_SERVE}"


def measure(*, by_cpu: bool) -> list[Figure]:
    """Measure on the local daemon; return nothing where none answers, or where the stub agent cannot be built."""
    if not stub_agent.busybox():
        print(
            "not measured, as there is no static busybox (apt-get install busybox-static): 200 containers, ensure, wake"
        )
        return []
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException as error:
        print(f"not measured, as no Docker daemon answers ({error}): 200 containers, ensure, cold wake")
        return []
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            registry = fleets.write_registry(fleets.Bench(STACK, FAMILIES, awake=0, image="stub"), folder)
            families = load_registry(registry).families
            with _containers(client, families):
                settings = ReaperSettings(STACK, registry, folder / "sweep.db", REAPER_KEY, ADMIN_TOKEN)
                figures = _sweep(make_context(folder, settings=settings), by_cpu=by_cpu)
                with running(folder, STACK, registry, SWEEP_EVERY="3600") as reaper:
                    figures += _ensure(reaper, families, by_cpu=by_cpu)
                    figures += _cold(reaper.port, client, families[0], by_cpu=by_cpu)
            return figures
    finally:
        client.close()


def _sweep(context: Context, *, by_cpu: bool) -> list[Figure]:
    """Sweep and list, alternating: the difference is the sweep's own time."""
    listing, sweeping, cpu = [], [], []
    try:
        sweeper = Sweeper(context, Waker(context))
        sweeper.sweep()
        for _ in range(SWEEPS):
            listing.append(_timed(context.engine.list))
            before = time.process_time()
            sweeping.append(_timed(sweeper.sweep))
            cpu.append((time.process_time() - before) * 1000)
            assert sweeper.last.problem is None, sweeper.last.problem
    finally:
        context.close()
    what = f"sweep among {FAMILIES} containers"
    own = min(cpu) if by_cpu else min(sweeping) - min(listing)
    return [
        Figure(f"{what}: own time", max(0.0, own), "ms", SWEEP_MS, BY_CPU if by_cpu else BY_WALL),
        Figure(f"{what}: the daemon's one listing", min(listing), "ms"),
    ]


def _ensure(reaper: Program, families: Sequence[Family], *, by_cpu: bool) -> list[Figure]:
    """Ask for running families over one connection; another family for each round, as each may ask only so often."""
    rounds: list[list[float]] = []
    cpu: list[float] = []
    for family in families[1 : ROUNDS + 1]:
        with closing(http.client.HTTPConnection("127.0.0.1", reaper.port, timeout=60)) as connection:
            _ask(connection, family)
            before = reaper.cpu_seconds()
            rounds.append([_timed(partial(_ask, connection, family)) for _ in range(REQUESTS)])
            cpu.append((reaper.cpu_seconds() - before) * 1000 / REQUESTS)
    best = min(rounds, key=p95)
    note = f"{UNJUDGED if by_cpu else BY_WALL}; best of {ROUNDS} rounds of {REQUESTS} requests"
    what = "ensure on a running family"
    return [
        Figure(f"{what}: p95", p95(best), "ms", None if by_cpu else ENSURE_MS, note),
        Figure(f"{what}: median", median(best), "ms"),
        Figure(
            f"{what}: the reaper's own share", min(cpu), "ms", ENSURE_MS if by_cpu else None, BY_CPU if by_cpu else ""
        ),
    ]


def _cold(port: int, client: docker.DockerClient, family: Family, *, by_cpu: bool) -> list[Figure]:
    """Wake a family by `ensure`, and by `docker start` and waiting for its health, in turns."""
    name = naming.container_name(family.id)
    container = client.containers.get(name)
    bare: list[float] = []
    ours: list[float] = []

    def start() -> None:
        container.start()
        port = container_details(client.api.inspect_container(name)).port
        while not healthy("127.0.0.1", port or 0):
            time.sleep(0.002)

    def wake() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            assert _ask(connection, family)["woken"], "it ran already"

    for turn in range(WAKES):
        order: list[tuple[list[float], Callable[[], None]]] = [(bare, start), (ours, wake)]
        for times, way in order if turn % 2 else reversed(order):
            container.stop(timeout=0)
            times.append(_timed(way))
    limit, note = (None, UNJUDGED) if by_cpu else (WAKE_MS, BY_WALL)
    more = median(ours) - median(bare)
    return [
        Figure("cold wake: ensure more than docker start plus boot", more, "ms", limit, note),
        Figure("cold wake: docker start plus boot", median(bare), "ms", note=f"median of {WAKES} turns"),
        Figure("cold wake: ensure", median(ours), "ms", note=f"median of {WAKES} turns"),
    ]


def _ask(connection: http.client.HTTPConnection, family: Family) -> dict[str, Any]:
    connection.request("POST", f"/v1/families/{family.name}/ensure", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    answer = connection.getresponse()
    said: dict[str, Any] = json.loads(answer.read())
    assert answer.status == http.client.OK, said
    assert said["state"] == "awake", said
    return said


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return (time.perf_counter() - began) * 1000


@contextmanager
def _containers(client: docker.DockerClient, families: Sequence[Family]) -> Iterator[None]:
    """Make a container of this stack for each family, the first few running, and remove all of them."""
    image = stub_agent.build(client, "bench-reaper")
    network = naming.network_name(STACK)

    def make(at: int, family: Family) -> None:
        container = client.containers.create(
            image,
            ["/bin/sh", "-c", _AGENT],
            name=naming.container_name(family.id),
            labels=naming.family_labels(STACK, family.name, family.id),
            ports={f"{naming.API_PORT}/tcp": ("127.0.0.1", 0)},
            network=network,
            stop_signal="SIGKILL",
        )
        if at < RUNNING:
            container.start()

    _remove(client, families, network)
    try:
        client.networks.create(network, driver="bridge")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(make, range(len(families)), families))
        yield
    finally:
        _remove(client, families, network)
        client.images.remove(image)


def _remove(client: docker.DockerClient, families: Sequence[Family], network: str) -> None:
    def remove(family: Family) -> None:
        with suppress(NotFound):
            client.api.remove_container(naming.container_name(family.id), force=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(remove, families))
    for found in client.networks.list(names=[network]):
        found.remove()
