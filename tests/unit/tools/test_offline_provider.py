"""The offline docker provider without a daemon: conversions, checks, differences, and requests."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from docker.errors import DockerException
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from offline_docker import container, server
from offline_docker.daemon import InitError, cpus, duration, nanoseconds, to_bytes
from offline_docker.plain import NETWORK, VOLUME
from offline_docker.properties import UNKNOWN, check, diff
from pulumi.runtime.proto import provider_pb2

from fleet.container.inputs import go_duration
from tests.support.pulumi.providers import wanted_version

MINIMAL: dict[str, Any] = {"name": "it", "image": "agent:1", "mustRun": False}
SECRET = "PLANTED-secret"
TIMES = dict.fromkeys(container.TIMES, "1s")


def checked(**more: object) -> dict[str, Any]:
    """Return a container's checked inputs."""
    inputs, failures = check(container.SPEC, {**MINIMAL, **more})
    assert failures == []
    return inputs


@pytest.mark.parametrize("text", ["0s", "1s", "59s", "1m0s", "1m30s", "1h0m0s", "25h1m9s"])
def test_a_canonical_duration_comes_back_as_written(text: str) -> None:
    """Durations in Go's form are read back unchanged."""
    assert duration(nanoseconds(text)) == text


@pytest.mark.parametrize(("written", "read"), [("90s", "1m30s"), ("60m", "1h0m0s"), ("1h90s", "1h1m30s")])
def test_another_form_of_a_duration_comes_back_canonical(written: str, read: str) -> None:
    """Other forms are read back in Go's form, which is a change at the next preview."""
    assert duration(nanoseconds(written)) == read


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 90, 3599, 3600, 86_400])
def test_the_fleet_writes_durations_in_that_form(seconds: int) -> None:
    """As the fleet renders them."""
    assert duration(seconds * 10**9) == go_duration(seconds)


@pytest.mark.parametrize(
    ("written", "read"),
    [("0.5", "0.5"), ("1", "1.0"), ("2.0", "2.0"), ("1.5", "1.5"), ("0.25", "0.25"), ("0.50", "0.5"), ("10.", "10.")],
)
def test_cpus_come_back_as_the_official_provider_writes_them(written: str, read: str) -> None:
    """Including `10.` for ten."""
    assert cpus(round(float(written) * 1e9)) == read


def test_memory_is_in_mebibytes_and_unlimited_swap_is_minus_one() -> None:
    """Properties are in MiB, the API in bytes."""
    assert [to_bytes(each) for each in (64, 0, -1)] == [67_108_864, 0, -1]


def test_the_check_fills_in_the_official_defaults() -> None:
    """Missing properties get the official provider's defaults, also nested ones."""
    inputs = checked(healthcheck={"tests": ["CMD", "true"]}, ports=[{"internal": 8642}])
    assert inputs["restart"] == "no"
    assert inputs["start"] is True
    assert inputs["waitTimeout"] == 60
    assert inputs["healthcheck"]["startInterval"] == "0s"
    assert inputs["ports"] == [{"internal": 8642, "ip": "0.0.0.0", "protocol": "tcp"}]  # noqa: S104 - a default


def test_the_check_does_not_touch_what_it_was_given() -> None:
    """Defaults go into a copy."""
    given = {**MINIMAL, "ports": [{"internal": 8642}]}
    check(container.SPEC, given)
    assert given["ports"] == [{"internal": 8642}]


@pytest.mark.parametrize(
    ("spec", "given", "where"),
    [
        (container.SPEC, {**MINIMAL, "privileged": True}, "privileged"),
        (container.SPEC, {**MINIMAL, "networkMode": "host"}, "networkMode"),
        (container.SPEC, {**MINIMAL, "command": ["x"]}, "command"),
        (
            container.SPEC,
            {**MINIMAL, "uploads": [{"file": "/x", "contentBase64": SECRET}]},
            "uploads[0].contentBase64",
        ),
        (container.SPEC, {**MINIMAL, "uploads": [{"file": "/x", "content": 5}]}, "uploads[0].content"),
        (
            container.SPEC,
            {**MINIMAL, "uploads": [{"file": "/x", "content": SECRET, "permissions": "755"}]},
            "uploads[0]",
        ),
        *(
            (container.SPEC, {**MINIMAL, "healthcheck": {"interval": each}}, "healthcheck.interval")
            for each in ("soon", "500ms", "1.5s", "2000ms", "0.5m")
        ),
        (container.SPEC, {**MINIMAL, "mustRun": True}, "mustRun"),
        (container.SPEC, {"name": "it", "image": "agent:1"}, "mustRun"),
        (container.SPEC, {**MINIMAL, "memory": "64"}, "memory"),
        (container.SPEC, {**MINIMAL, "waitTimeout": True}, "waitTimeout"),
        (container.SPEC, {**MINIMAL, "capabilities": {"adds": ["CHOWN"]}}, "capabilities.adds[0]"),
        (container.SPEC, {**MINIMAL, "restart": "sometimes"}, "restart"),
        (container.SPEC, {**MINIMAL, "volumes": [{"containerPath": "/x", "hostPath": "y"}]}, "volumes[0].hostPath"),
        (container.SPEC, {"name": "it", "mustRun": False}, "image"),
        (NETWORK.SPEC, {"name": "it", "internal": True}, "internal"),
        (VOLUME.SPEC, {"name": "it", "driverOpts": {}}, "driverOpts"),
    ],
)
def test_what_is_not_implemented_or_wrong_is_refused_by_name(spec: Any, given: Any, where: str) -> None:
    """Each such property is named, without its value."""
    _, failures = check(spec, given)
    assert len(failures) == 1
    assert failures[0][0].startswith(where)
    assert SECRET not in str(failures)


def test_one_check_names_every_failure() -> None:
    """Not only the first one."""
    _, failures = check(container.SPEC, {"tty": True, "restart": "x", "memory": "y"})
    assert {where for where, _ in failures} == {"tty", "restart", "memory", "name", "image", "mustRun"}


def test_what_is_unknown_in_a_preview_passes_the_check() -> None:
    """A value that only an `up` knows is not checked."""
    given = {"memory": UNKNOWN, "healthcheck": UNKNOWN, "networksAdvanced": [{"name": UNKNOWN}]}
    assert checked(**given).items() >= given.items()


def test_no_change_is_no_difference() -> None:
    """A state made from inputs does not differ from them."""
    inputs = checked(
        entrypoints=["/bin/sh"],
        envs=["B=2", "A=1"],
        uploads=[{"file": "/z", "content": "1"}, {"file": "/a", "content": "2"}],
        volumes=[{"containerPath": "/opt/data", "volumeName": "v"}],
    )
    state = {**inputs, "envs": ["A=1", "B=2"], "uploads": inputs["uploads"][::-1], "command": [], "networkDatas": []}
    assert diff(container.SPEC, state, inputs) == {}


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"memory": 64}, {"memory": 128}, {"memory": "UPDATE"}),
        ({"memory": 64}, {}, {"memory": "DELETE"}),
        ({"memory": 0}, {}, {}),
        ({"cpus": "0.5"}, {"cpus": "1.0"}, {"cpus": "UPDATE_REPLACE"}),
        ({"stopTimeout": 30}, {}, {}),
        ({"wait": True}, {}, {"wait": "UPDATE"}),
        ({"restart": "always"}, {"restart": "no"}, {"restart": "UPDATE"}),
        ({"envs": ["A=1"]}, {"envs": ["A=2"]}, {"envs[0]": "UPDATE_REPLACE"}),
        ({"envs": ["A=1", "B=2"]}, {"envs": ["B=2", "A=1"]}, {}),
        ({"envs": ["B=2", "A=1"]}, {"envs": ["A=1", "B=3"]}, {"envs[1]": "UPDATE_REPLACE"}),
        ({"logOpts": {"max-file": "3"}}, {"logOpts": {"max-file": "5"}}, {'logOpts["max-file"]': "UPDATE_REPLACE"}),
        (
            {"uploads": [{"file": "/a", "content": "1"}]},
            {"uploads": [{"file": "/a", "content": "2"}]},
            {"uploads": "UPDATE_REPLACE"},
        ),
        (
            {"healthcheck": {**TIMES, "tests": ["CMD", "x"], "retries": 3}},
            {"healthcheck": {**TIMES, "tests": ["CMD", "y"]}},
            {"healthcheck.tests[1]": "UPDATE", "healthcheck.retries": "UPDATE"},
        ),
        (
            {"networksAdvanced": [{"name": "n"}]},
            {"networksAdvanced": [{"name": UNKNOWN}]},
            {"networksAdvanced": "UPDATE_REPLACE"},
        ),
    ],
)
def test_changes_by_rule(old: Any, new: Any, changes: Any) -> None:
    """Each change has the path and kind that the official provider gives it."""
    whole = {
        "networkMode": "bridge",
        "removeVolumes": True,
        "start": True,
        "mustRun": False,
        "restart": "no",
        "waitTimeout": 60,
        "name": "it",
        "image": "agent:1",
    }
    read = {"command": [], "networkDatas": [], "entrypoints": [], "containerReadRefreshTimeoutMilliseconds": 15_000}
    defaults = {**whole, "containerReadRefreshTimeoutMilliseconds": 15_000}
    found = diff(container.SPEC, {**whole, **read, **old}, {**defaults, **new})
    assert found == ({next(iter({**old, **new})): changes} if changes else {})


def test_a_container_that_never_got_ready_differs() -> None:
    """The state of a failed start lacks the properties that Docker knows, so the next `up` replaces it."""
    inputs = checked(entrypoints=["/bin/sh"])
    missing = {"command": {"command": "ADD_REPLACE"}, "networkDatas": {"networkDatas": "ADD"}}
    assert diff(container.SPEC, inputs, inputs) == missing


def test_ignored_paths_and_what_lies_below_them_are_left_out() -> None:
    """`ignore` takes whole properties and paths into them."""
    old = {"name": "a", "labels": [{"label": "x", "value": "1"}]}
    new = {"name": "b", "labels": [{"label": "x", "value": "2"}]}
    assert diff(VOLUME.SPEC, old, new, ["labels"]) == {"name": {"name": "UPDATE_REPLACE"}}
    assert diff(VOLUME.SPEC, old, new, ["labels[0]", "name"]) == {}
    assert diff(VOLUME.SPEC, old, new)["labels"] == {"labels[0].value": "UPDATE_REPLACE"}


def test_docker_is_asked_for_what_is_declared() -> None:
    """The request's body has units, binds, ports and durations in Docker's form, and no upload."""
    body = container.create_body(
        checked(
            memory=64,
            memorySwap=-1,
            cpus="0.5",
            stopTimeout=30,
            ports=[{"internal": 8642, "ip": "127.0.0.1", "protocol": "tcp"}],
            healthcheck={"tests": ["CMD", "true"], "interval": "1m30s", "retries": 3},
            volumes=[
                {"containerPath": "/opt/data", "volumeName": "v"},
                {"containerPath": "/opt/data/plugins", "hostPath": "/srv", "readOnly": True},
            ],
            uploads=[{"file": "/opt/fleet/env", "content": SECRET, "permissions": "0600"}],
        )
    )
    host = body["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (67_108_864, -1, 500_000_000)
    assert host["Binds"] == ["v:/opt/data:rw", "/srv:/opt/data/plugins:ro"]
    assert host["PortBindings"] == {"8642/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]}
    assert body["Healthcheck"]["Interval"] == 90_000_000_000
    assert SECRET not in str(body)


def test_uploads_are_root_owned_files_of_their_mode(tmp_path: Path) -> None:
    """The archive has each upload at its path, with its mode or 0644, owned by root; a source is read."""
    (tmp_path / "boot.sh").write_text("exec true\n")
    uploads = [
        {"file": "/opt/fleet/env", "content": "KEY=ü\n", "permissions": "0600"},
        {"file": "/opt/fleet/MEMORY.md", "content": "-"},
        {"file": "/opt/fleet/boot.sh", "source": str(tmp_path / "boot.sh"), "sourceHash": "1"},
    ]
    with tarfile.open(fileobj=io.BytesIO(container.archive(uploads))) as tar:
        first, second, third = tar.getmembers()
        content, script = tar.extractfile(first), tar.extractfile(third)
        assert content
        assert script
        assert (content.read(), script.read()) == ("KEY=ü\n".encode(), b"exec true\n")
    assert (first.name, first.mode, first.uid, first.gid) == ("opt/fleet/env", 0o600, 0, 0)
    assert (second.name, second.mode, second.size) == ("opt/fleet/MEMORY.md", 0o644, 1)


@pytest.mark.parametrize("given", [{}, {"content": ""}, {"content": "x", "source": "y"}])
def test_an_upload_has_one_source(given: dict[str, str]) -> None:
    """No content and two contents are errors, as in the official provider."""
    with pytest.raises(DockerException, match="/opt/fleet/env: set one of"):
        container.archive([{"file": "/opt/fleet/env", **given}])


@pytest.mark.parametrize("stack", ["dev", "test-abc"])
def test_its_own_stacks_are_served(stack: str) -> None:
    """The development stack and those of tests are served."""
    server.refuse_stack(f"urn:pulumi:{stack}::hermes-fleet::pulumi:providers:docker::default")


@pytest.mark.parametrize("stack", ["prod", "development", "testing", "my-test-1", "dev2"])
def test_other_stacks_are_refused(stack: str) -> None:
    """The error has the stack's name and the fix."""
    with pytest.raises(DockerException, match=f"{stack}: .* official plugin"):
        server.refuse_stack(f"urn:pulumi:{stack}::hermes-fleet::docker:index/volume:Volume::dev")


def test_the_development_stack_of_another_project_is_refused() -> None:
    """A shell that sourced .state/env would use this provider for other projects; the error has the fix."""
    with pytest.raises(DockerException, match=r"shop: .* only that of hermes-fleet; unset PULUMI_HOME"):
        server.refuse_stack("urn:pulumi:dev::shop::pulumi:providers:docker::default")
    server.refuse_stack("urn:pulumi:test-shop::shop::pulumi:providers:docker::default")


def test_a_nested_resource_is_told_by_its_own_type() -> None:
    """The type is the last of the chain of types in a URN."""
    chain = "hermes-fleet:index:Fleet$hermes-fleet:index:FamilyRuntime$docker:index/container:Container"
    assert server.kind_of(f"urn:pulumi:dev::hermes-fleet::{chain}::it") is container


def test_a_refresh_takes_over_what_docker_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs get changed values, keep unchanged ones, and gain no undeclared property."""
    inputs = checked(memory=64, healthcheck={"tests": ["CMD", "true"], "interval": "1s"})
    health = {**inputs["healthcheck"], "interval": "2s"}
    state = {**inputs, "memory": 80, "healthcheck": health, "cpus": "1.0", "command": [], "networkDatas": []}
    monkeypatch.setattr(container, "read", lambda *_: state)
    provider = server.Provider()
    monkeypatch.setattr(provider, "client", None, raising=False)
    urn = "urn:pulumi:dev::hermes-fleet::docker:index/container:Container::it"
    reply = provider.Read(provider_pb2.ReadRequest(id="1", urn=urn, inputs=inputs), None)
    assert server.to_python(reply.inputs) == {**inputs, "memory": 80, "healthcheck": health}


def test_it_stands_in_for_the_version_that_the_sdk_asks_for() -> None:
    """Pulumi looks a plugin up by its version."""
    assert wanted_version() == server.VERSION


def test_numbers_and_marks_of_a_message_become_plain_values() -> None:
    """Integers are ints, and the official provider's internal entries are left out."""
    message = ParseDict(
        {"memory": 64, "cpus": "0.5", "__meta": "{}", "image": None, "ports": [{"__defaults": [], "internal": 1}]},
        Struct(),
    )
    assert server.to_python(message) == {"memory": 64, "cpus": "0.5", "ports": [{"internal": 1}]}
    assert isinstance(server.to_python(message)["memory"], int)


class Daemon(docker.APIClient):
    """Answers each request with the next status and message, and with success after the last one."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        """Take the answers."""
        super().__init__(version="1.41")
        self.answers = list(answers)
        self.asked: list[str] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        """Note a request and answer it."""
        self.asked.append(f"{request.method} {request.path_url.removeprefix('/v1.41')}")
        response = requests.Response()
        response.status_code, message = self.answers.pop(0) if self.answers else (204, "")
        response.raw = io.BytesIO(json.dumps({"message": message, "Id": "7f"}).encode())
        response.request = request
        return response


def test_a_removal_in_progress_is_no_error() -> None:
    """Docker may be removing the container already, as after a killed update."""
    daemon = Daemon((204, ""), (409, "removal of container 7f is already in progress"))
    container.delete(daemon, "7f", {})
    assert [asked.split("?")[0] for asked in daemon.asked] == ["POST /containers/7f/stop", "DELETE /containers/7f"]
    with pytest.raises(DockerException, match="another reason"):
        container.delete(Daemon((204, ""), (409, "another reason")), "7f", {})


def test_a_network_is_removed_once_its_last_container_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its removal waits half a minute for that container, and for nothing else."""
    monkeypatch.setattr("offline_docker.plain.time.sleep", lambda _: None)
    busy = (403, "error while removing network: network n has active endpoints")
    daemon = Daemon(busy, busy)
    NETWORK.delete(daemon, "n", {})
    assert daemon.asked == ["DELETE /networks/n"] * 3
    with pytest.raises(DockerException, match="active endpoints"):
        NETWORK.delete(Daemon(*[busy] * 100), "n", {})
    with pytest.raises(DockerException, match="another reason"):
        NETWORK.delete(Daemon((403, "another reason")), "n", {})


@pytest.mark.parametrize("kind", [container, NETWORK], ids=["container", "network"])
def test_a_created_resource_is_known_even_if_it_cannot_be_read(kind: Any) -> None:
    """The engine gets the id of what the daemon created before it failed, and keeps it in the state."""
    inputs = checked(start=False) if kind is container else {"name": "n"}
    answers = [(201, ""), (200, ""), (500, "too busy")] if kind is container else [(201, ""), (500, "too busy")]
    with pytest.raises(InitError) as raised:
        kind.create(Daemon(*answers), inputs)
    assert raised.value.args == ("7f", "Error response from daemon: too busy")
