"""Asked the same, the official docker plugin and the offline one say and do the same. A difference is a failure."""

import copy
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import docker
import pytest

from tests.support.fleet.uploaded import uploaded
from tests.support.pulumi.docker_plugin import Made, Plugin, Properties, running
from tests.support.pulumi.providers import OFFICIAL, OFFLINE, both_providers

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
GONE = "<gone>"

CONTAINER: Properties = {
    "entrypoints": ["/bin/sh", "/opt/fleet/boot.sh"],
    "envs": ["ONE=1", "TWO=2"],
    "labels": [{"label": "agree/one", "value": "1"}, {"label": "agree/two", "value": "2"}],
    "ports": [{"internal": 8642, "ip": "127.0.0.1", "protocol": "tcp"}],
    "healthcheck": {"tests": ["CMD", "/bin/false"], "interval": "2s", "timeout": "1m30s", "startPeriod": "1h0m0s"},
    "capabilities": {"adds": ["CAP_CHOWN", "CAP_KILL"], "drops": ["ALL"]},
    "securityOpts": ["no-new-privileges:true"],
    "memory": 64,
    "memorySwap": 128,
    "shmSize": 32,
    "cpus": "0.25",
    "logDriver": "json-file",
    "logOpts": {"max-file": "3", "max-size": "10m"},
    "restart": "unless-stopped",
    "mustRun": False,
    "start": False,
    "wait": False,
    "waitTimeout": 2,
    "stopTimeout": 30,
    "destroyGraceSeconds": 1,
    "containerReadRefreshTimeoutMilliseconds": 15_000,
    "uploads": [
        {"file": "/opt/fleet/env", "content": "KEY=planted", "permissions": "0600"},
        {"file": "/opt/fleet/boot.sh", "content": "exec sleep 600\n", "permissions": "0755"},
        {"file": "/opt/fleet/MEMORY.md", "content": "# Ada\n"},
        {"file": "/opt/fleet/health.sh", "source": __file__, "sourceHash": "1", "permissions": "0755"},
    ],
    "volumes": [
        {"containerPath": "/opt/data", "volumeName": "{name}"},
        {"containerPath": "/opt/data/plugins", "hostPath": "/opt", "readOnly": True},
    ],
    "networksAdvanced": [{"name": "bridge"}],
}
NETWORK: Properties = {
    "driver": "bridge",
    "options": {"com.docker.network.bridge.enable_icc": "false"},
    "labels": [{"label": "agree/one", "value": "1"}],
}
VOLUME: Properties = {"labels": [{"label": "agree/one", "value": "1"}]}
INPUTS = {"Container": CONTAINER, "Network": NETWORK, "Volume": VOLUME}

# Kind, path of the change, new value.
CHANGES: list[tuple[str, tuple[str | int, ...], Any]] = [
    *((kind, (), None) for kind in INPUTS),
    *((kind, ("name",), value) for kind in INPUTS for value in ("agree-other", UNKNOWN)),
    *((kind, ("labels", 0, "value"), value) for kind in INPUTS for value in ("new", UNKNOWN)),
    *((kind, ("labels", 0, "label"), "zz/new") for kind in INPUTS),
    *((kind, ("labels",), value) for kind in INPUTS for value in (GONE, [], [{"label": "x", "value": "y"}])),
    ("Network", ("driver",), "macvlan"),
    ("Network", ("driver",), GONE),
    ("Network", ("options",), GONE),
    ("Network", ("options", "com.docker.network.bridge.enable_icc"), "true"),
    ("Network", ("options", "more"), "true"),
    *(("Container", (name,), GONE) for name in CONTAINER if name != "mustRun"),
    *(("Container", (name,), []) for name in ("entrypoints", "envs", "ports", "uploads", "volumes", "securityOpts")),
    # Builds of the official provider disagree whether a health check that is not known yet replaces the container. The
    # fleet's is always known.
    *(("Container", (name,), UNKNOWN) for name in CONTAINER if name not in {"mustRun", "healthcheck"}),
    ("Container", ("image",), UNKNOWN),
    ("Container", ("image",), "agree-other:1"),
    ("Container", ("entrypoints", 1), "/new"),
    ("Container", ("entrypoints",), ["/bin/sh"]),
    ("Container", ("entrypoints",), ["/bin/sh", "/opt/fleet/boot.sh", "more"]),
    *(
        ("Container", ("envs",), value)
        for value in (["TWO=2", "ONE=1"], ["ONE=1"], ["ONE=1", "TWO=3"], ["A=0", "ONE=1", "TWO=2"], ["X=1", UNKNOWN])
    ),
    *(
        ("Container", ("ports", 0, key), value)
        for key, value in (("internal", 1), ("external", 1), ("ip", "127.0.0.2"), ("ip", GONE), ("protocol", "udp"))
    ),
    ("Container", ("ports",), [{"internal": 8642, "ip": "127.0.0.1"}, {"internal": 1, "ip": "127.0.0.1"}]),
    *(
        ("Container", ("healthcheck", key), value)
        for key, value in (
            ("tests", ["CMD", "/new"]),
            ("tests", ["CMD"]),
            ("interval", "3s"),
            ("timeout", "90s"),
            ("startPeriod", GONE),
            ("startInterval", "1s"),
            ("retries", 2),
        )
    ),
    *(
        ("Container", ("capabilities", key), value)
        for key, value in (
            ("adds", ["CAP_KILL", "CAP_CHOWN"]),
            ("adds", ["CAP_CHOWN"]),
            ("adds", ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"]),
            ("adds", []),
            ("adds", GONE),
            ("drops", ["CAP_KILL"]),
        )
    ),
    ("Container", ("securityOpts",), ["apparmor=unconfined"]),
    ("Container", ("memory",), 128),
    ("Container", ("memorySwap",), -1),
    ("Container", ("shmSize",), 48),
    ("Container", ("cpus",), "0.250"),
    ("Container", ("cpus",), "10.0"),
    ("Container", ("cpus",), "10."),
    ("Container", ("logDriver",), "local"),
    ("Container", ("logOpts", "max-file"), "5"),
    ("Container", ("logOpts", "more"), "5"),
    ("Container", ("logOpts", "max-size"), GONE),
    ("Container", ("restart",), "no"),
    ("Container", ("start",), True),
    ("Container", ("wait",), True),
    *(("Container", (name,), 7) for name in ("waitTimeout", "stopTimeout", "destroyGraceSeconds")),
    ("Container", ("containerReadRefreshTimeoutMilliseconds",), 15_001),
    *(("Container", ("uploads", index, "content"), "new") for index in range(3)),
    ("Container", ("uploads", 0, "content"), UNKNOWN),
    ("Container", ("uploads", 0, "permissions"), "0644"),
    ("Container", ("uploads", 2, "permissions"), "0644"),
    ("Container", ("uploads", 1, "file"), "/new"),
    ("Container", ("uploads", 3, "source"), "/new"),
    ("Container", ("uploads", 3, "sourceHash"), "2"),
    ("Container", ("uploads",), list(reversed(CONTAINER["uploads"]))),
    ("Container", ("uploads",), CONTAINER["uploads"][1:]),
    ("Container", ("uploads",), [*CONTAINER["uploads"], {"file": "/new", "content": "new"}]),
    ("Container", ("volumes", 0, "volumeName"), UNKNOWN),
    ("Container", ("volumes", 0, "readOnly"), False),
    ("Container", ("volumes", 0, "readOnly"), True),
    ("Container", ("volumes", 1, "readOnly"), False),
    ("Container", ("volumes", 1, "hostPath"), "/new"),
    ("Container", ("networksAdvanced", 0, "name"), "agree-other"),
    ("Container", ("networksAdvanced", 0, "name"), UNKNOWN),
]


def changed(inputs: Properties, path: tuple[str | int, ...], value: object) -> Properties:
    """Return inputs with one value set, or taken out."""
    result = copy.deepcopy(inputs)
    if path:
        place: Any = result
        for step in path[:-1]:
            place = place[step]
        if value == GONE:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value
    return result


@pytest.fixture(scope="module")
def plugins() -> Iterator[dict[str, Plugin]]:
    """Both plugins, running."""
    with ExitStack() as stack:
        yield {each.name: stack.enter_context(running(each)) for each in both_providers()}


@pytest.fixture(scope="module")
def name(docker_client: docker.DockerClient) -> Iterator[str]:
    """Return a name for what a test makes; whatever carries it is removed."""
    name = f"test-agree-{secrets.token_hex(4)}"
    yield name
    for container in docker_client.containers.list(all=True, filters={"name": name}):
        container.remove(force=True)
    for network in docker_client.networks.list(names=[name]):
        network.remove()
    for volume in docker_client.volumes.list(filters={"name": name}):
        volume.remove(force=True)


def inputs_of(kind: str, name: str, image: str, **more: object) -> Properties:
    """Return what a program declares."""
    inputs = {**copy.deepcopy(INPUTS[kind]), "name": name, **more}
    if kind == "Container":
        inputs = {"image": image, **inputs}
        inputs["volumes"][0]["volumeName"] = name
    return inputs


@pytest.fixture(scope="module")
def made(plugins: dict[str, Plugin], name: str, stub_image: str) -> dict[tuple[str, str, str], tuple[Made, Properties]]:
    """Return state and inputs of every kind, as created and as read back, by each plugin."""
    result = {}
    for which, plugin in plugins.items():
        for kind in INPUTS:
            inputs, wrong = plugin.check(kind, inputs_of(kind, name, stub_image))
            assert not wrong
            it = plugin.create(kind, inputs)
            assert not it.failure
            result[which, kind, "created"] = it, inputs
            result[which, kind, "read"] = plugin.read(kind, it, inputs)
            plugin.delete(kind, it)
    return result


def _words(kind: str, path: tuple[str | int, ...], value: object) -> str:
    said = "unknown" if value == UNKNOWN else value
    return f"{kind} {'.'.join(map(str, path))} {said}"[:70]


@pytest.mark.parametrize(("kind", "path", "value"), CHANGES, ids=[_words(*each) for each in CHANGES])
def test_a_change_means_the_same(  # noqa: PLR0913, PLR0917 - what is parametrized, and from what
    plugins: dict[str, Plugin],
    made: dict[tuple[str, str, str], tuple[Made, Properties]],
    name: str,
    stub_image: str,
    kind: str,
    path: tuple[str | int, ...],
    value: object,
) -> None:
    """One changed input has the same effect, on what was just created and on what was read back."""
    news = changed(inputs_of(kind, name, stub_image), path, value)
    for when in ("created", "read"):
        said = {}
        for which, plugin in plugins.items():
            it, inputs = made[which, kind, when]
            checked, wrong = plugin.check(kind, news)
            said[which] = bool(wrong) or plugin.diff(kind, it, inputs, checked)
        assert said[OFFLINE] == said[OFFICIAL], when


def test_ignored_changes_are_ignored(
    plugins: dict[str, Plugin],
    made: dict[tuple[str, str, str], tuple[Made, Properties]],
    name: str,
    stub_image: str,
) -> None:
    """What the program says to ignore is no change, and the rest still is."""
    said = {}
    for which, plugin in plugins.items():
        it, inputs = made[which, "Container", "read"]
        news, _ = plugin.check("Container", inputs_of("Container", name, stub_image, memory=80, start=True, labels=[]))
        said[which] = plugin.diff("Container", it, inputs, news, ["labels", "start"])
    assert said[OFFLINE] == said[OFFICIAL]
    assert said[OFFLINE]["diffs"] == ["memory"]


def described(client: docker.DockerClient, name: str) -> Properties:
    """Return what Docker says of a container, less what is new with every container."""
    found = client.api.inspect_container(name)
    config, host = found["Config"], found["HostConfig"]
    del config["Hostname"]
    for of, keys in ((config, ("Env",)), (host, ("Binds", "CapAdd", "CapDrop", "SecurityOpt"))):
        of.update({key: sorted(of[key] or []) for key in keys})
    networks = {key: sorted(each["Aliases"] or []) for key, each in found["NetworkSettings"]["Networks"].items()}
    short = found["Id"][:12]
    return {"config": config, "host": host, "networks": {k: [a for a in v if a != short] for k, v in networks.items()}}


def test_docker_is_asked_for_the_same(
    plugins: dict[str, Plugin], docker_client: docker.DockerClient, name: str, stub_image: str
) -> None:
    """Docker describes the containers of both alike, and the uploads lie in them alike."""
    seen = {}
    for which, plugin in plugins.items():
        inputs, _ = plugin.check("Container", inputs_of("Container", name, stub_image))
        it = plugin.create("Container", inputs)
        seen[which] = described(docker_client, name), uploaded(docker_client, name)
        plugin.delete("Container", it)
    assert seen[OFFLINE] == seen[OFFICIAL]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"start": True, "wait": True}, "container failed to be in healthy state"),
        ({"start": True, "entrypoints": ["/nothing/there"]}, "Unable to start container"),
        ({"start": True, "networksAdvanced": [{"name": "agree-no-such-network"}]}, "agree-no-such-network not found"),
    ],
    ids=["sick", "no such program", "no such network"],
)
def test_a_failed_start_is_kept_and_said(
    plugins: dict[str, Plugin], name: str, stub_image: str, more: Properties, reason: str
) -> None:
    """A container whose start or gate failed is handed to the engine with the reason, and a retry sees a change."""
    said = {}
    for which, plugin in plugins.items():
        inputs, _ = plugin.check("Container", inputs_of("Container", name, stub_image, **more))
        it = plugin.create("Container", inputs)
        assert it.id
        assert reason in it.failure
        said[which] = plugin.diff("Container", it, inputs, inputs)
        plugin.delete("Container", it)
    assert said[OFFLINE] == said[OFFICIAL]


def test_what_docker_update_did_is_read_back(
    plugins: dict[str, Plugin], docker_client: docker.DockerClient, name: str, stub_image: str
) -> None:
    """Limits that were changed by hand come back in state and inputs in the same form."""
    seen = {}
    for which, plugin in plugins.items():
        inputs, _ = plugin.check("Container", inputs_of("Container", name, stub_image))
        it = plugin.create("Container", inputs)
        docker_client.containers.get(name).update(
            mem_limit="100m", memswap_limit="200m", restart_policy={"Name": "always"}
        )
        docker_client.containers.get(name).start()
        docker_client.containers.get(name).kill()
        now, back = plugin.read("Container", it, inputs)
        keys = ("memory", "memorySwap", "restart", "cpus", "mustRun")
        seen[which] = (
            {key: now.state[key] for key in keys},
            {key: back[key] for key in keys},
            plugin.diff("Container", now, back, inputs),
        )
        plugin.delete("Container", it)
    assert seen[OFFLINE] == seen[OFFICIAL]


@pytest.mark.parametrize("kind", list(INPUTS))
def test_what_is_gone_is_gone(
    plugins: dict[str, Plugin],
    made: dict[tuple[str, str, str], tuple[Made, Properties]],
    kind: str,
) -> None:
    """Reading a removed resource reports it as gone, and removing it again is no error."""
    for which, plugin in plugins.items():
        it, inputs = made[which, kind, "created"]
        plugin.delete(kind, it)
        assert plugin.read(kind, it, inputs)[0].id == ""
        plugin.delete(kind, it)


def test_a_volume_is_adopted_and_a_taken_name_is_not(plugins: dict[str, Plugin], name: str, stub_image: str) -> None:
    """A volume of the name is taken over as it is; a network or container of the name is an error and stays."""
    for plugin in plugins.values():
        first, second = (plugin.create("Volume", inputs_of("Volume", name, stub_image)) for _ in range(2))
        assert first == second
        plugin.delete("Volume", first)
        for kind in ("Network", "Container"):
            inputs, _ = plugin.check(kind, inputs_of(kind, name, stub_image))
            it = plugin.create(kind, inputs)
            again = plugin.create(kind, inputs)
            assert not again.id
            assert "already" in again.failure
            assert plugin.read(kind, it, inputs)[0].id == it.id
            plugin.delete(kind, it)
