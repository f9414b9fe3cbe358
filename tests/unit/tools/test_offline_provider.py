"""The offline docker provider's pure parts: forms, checks, differences, and what Docker is asked for."""

import io
import tarfile
from typing import Any

import pytest
from offline_docker import container, network, server, volume
from offline_docker.daemon import cpus, duration, nanoseconds, to_bytes, to_mib
from offline_docker.diff import diff
from offline_docker.schema import UNKNOWN, check, has_unknown, tidy

from fleet.durations import go_duration

MINIMAL: dict[str, Any] = {"name": "it", "image": "agent:1", "mustRun": False}
SECRET = "PLANTED-secret"
TIMES = dict.fromkeys(container.HEALTHCHECK_TIMES, "1s")


def checked(**more: object) -> dict[str, Any]:
    """Return a container's inputs after their check."""
    inputs, failures = check(container.SPEC, {**MINIMAL, **more})
    assert failures == []
    return inputs


@pytest.mark.parametrize(
    "text", ["0s", "1ns", "1.5µs", "500ms", "1s", "1.5s", "59s", "1m0s", "1m30s", "1h0m0s", "25h1m0.25s"]
)
def test_a_canonical_duration_comes_back_as_written(text: str) -> None:
    """Durations in Go's form survive the way to Docker and back."""
    assert duration(nanoseconds(text.replace("µ", "u"))) == text


@pytest.mark.parametrize(("written", "read"), [("90s", "1m30s"), ("2000ms", "2s"), ("60m", "1h0m0s"), ("0.5m", "30s")])
def test_another_form_of_a_duration_comes_back_canonical(written: str, read: str) -> None:
    """What is not in Go's form is read back differently, which is a change at the next preview."""
    assert duration(nanoseconds(written)) == read


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 90, 3599, 3600, 86_400])
def test_the_fleet_writes_durations_in_that_form(seconds: int) -> None:
    """The fleet's own writer agrees."""
    assert duration(seconds * 10**9) == go_duration(seconds)


@pytest.mark.parametrize(
    ("written", "read"),
    [("0.5", "0.5"), ("1", "1.0"), ("2.0", "2.0"), ("1.5", "1.5"), ("0.25", "0.25"), ("0.50", "0.5"), ("10.0", "10.")],
)
def test_cpus_come_back_as_the_official_provider_writes_them(written: str, read: str) -> None:
    """Cpu limits are read back in its form, its oddity with ten included."""
    assert cpus(round(float(written) * 1e9)) == read


def test_memory_is_in_mebibytes_and_unlimited_swap_is_minus_one() -> None:
    """Sizes are MiB outside and bytes inside."""
    assert [to_bytes(each) for each in (64, 0, -1)] == [67_108_864, 0, -1]
    assert [to_mib(each) for each in (67_108_864, 0, -1)] == [64, 0, -1]


def test_the_check_fills_in_the_official_defaults() -> None:
    """What is left out gets the official provider's defaults, nested ones too."""
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
            {**MINIMAL, "uploads": [{"file": "/x", "content": SECRET, "source": "y"}]},
            "uploads[0].source",
        ),
        (container.SPEC, {**MINIMAL, "uploads": [{"file": "/x", "content": 5}]}, "uploads[0].content"),
        (
            container.SPEC,
            {**MINIMAL, "uploads": [{"file": "/x", "content": SECRET, "permissions": "755"}]},
            "uploads[0]",
        ),
        (container.SPEC, {**MINIMAL, "healthcheck": {"interval": "soon"}}, "healthcheck.interval"),
        (container.SPEC, {**MINIMAL, "memory": "64"}, "memory"),
        (container.SPEC, {**MINIMAL, "waitTimeout": True}, "waitTimeout"),
        (container.SPEC, {**MINIMAL, "capabilities": {"adds": ["CHOWN"]}}, "capabilities.adds[0]"),
        (container.SPEC, {**MINIMAL, "restart": "sometimes"}, "restart"),
        (container.SPEC, {**MINIMAL, "volumes": [{"containerPath": "/x", "hostPath": "y"}]}, "volumes[0].hostPath"),
        (container.SPEC, {"name": "it"}, "image"),
        (network.SPEC, {"name": "it", "internal": True}, "internal"),
        (volume.SPEC, {"name": "it", "driverOpts": {}}, "driverOpts"),
    ],
)
def test_what_is_not_implemented_or_wrong_is_refused_by_name(spec: Any, given: Any, where: str) -> None:
    """Every such property is named, and no value of it is repeated."""
    _, failures = check(spec, given)
    assert len(failures) == 1
    assert failures[0][0].startswith(where)
    assert SECRET not in str(failures)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One check names every failure."""
    _, failures = check(container.SPEC, {"tty": True, "restart": "x", "memory": "y"})
    assert {where for where, _ in failures} == {"tty", "restart", "memory", "name", "image"}


def test_what_is_unknown_in_a_preview_passes_the_check() -> None:
    """A value that only an `up` will know cannot be wrong yet."""
    inputs = checked(memory=UNKNOWN, healthcheck=UNKNOWN, networksAdvanced=[{"name": UNKNOWN}])
    assert has_unknown(inputs)


def test_no_change_is_no_difference() -> None:
    """A state that was made from inputs does not differ from them."""
    inputs = checked(
        entrypoints=["/bin/sh"],
        envs=["B=2", "A=1"],
        uploads=[{"file": "/z", "content": "1"}, {"file": "/a", "content": "2"}],
        volumes=[{"containerPath": "/opt/data", "volumeName": "v"}],
    )
    state = {**tidy(container.SPEC, inputs), "command": [], "networkDatas": []}
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
def test_changes_by_rule(old: Any, new: Any, changes: dict[str, str]) -> None:
    """Each change has the path and kind that the official provider gives it."""
    whole = {"start": True, "mustRun": False, "restart": "no", "waitTimeout": 60, "name": "it", "image": "agent:1"}
    read = {"command": [], "networkDatas": [], "entrypoints": [], "containerReadRefreshTimeoutMilliseconds": 15_000}
    defaults = {**whole, "containerReadRefreshTimeoutMilliseconds": 15_000}
    assert diff(container.SPEC, {**whole, **read, **old}, {**defaults, **new}) == changes


def test_a_container_that_never_got_ready_differs() -> None:
    """The state of a failed start lacks what only Docker knows, which replaces it at the next `up`."""
    inputs = checked(entrypoints=["/bin/sh"])
    failed = tidy(container.SPEC, inputs)
    assert diff(container.SPEC, failed, inputs) == {"command": "ADD_REPLACE", "networkDatas": "ADD"}


def test_ignored_paths_and_what_lies_below_them_are_left_out() -> None:
    """`ignore` takes whole properties and paths into them."""
    old = {"name": "a", "labels": [{"label": "x", "value": "1"}]}
    new = {"name": "b", "labels": [{"label": "x", "value": "2"}]}
    assert diff(volume.SPEC, old, new, ["labels"]) == {"name": "UPDATE_REPLACE"}
    assert diff(volume.SPEC, old, new, ["labels[0]", "name"]) == {}
    assert set(diff(volume.SPEC, old, new)) == {"name", "labels[0].value"}


def test_docker_is_asked_for_what_is_declared() -> None:
    """A body of the API holds units, binds, ports and times as Docker takes them, and no upload."""
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


def test_uploads_are_root_owned_files_of_their_mode() -> None:
    """The archive holds every upload under its path, with its mode or 0644, and owned by root."""
    uploads = [
        {"file": "/opt/fleet/env", "content": "KEY=ü\n", "permissions": "0600"},
        {"file": "/opt/fleet/MEMORY.md", "content": ""},
    ]
    with tarfile.open(fileobj=io.BytesIO(container.archive(uploads))) as tar:
        first, second = tar.getmembers()
        content = tar.extractfile(first)
        assert content
        assert content.read() == "KEY=ü\n".encode()
    assert (first.name, first.mode, first.uid, first.gid) == ("opt/fleet/env", 0o600, 0, 0)
    assert (second.name, second.mode, second.size) == ("opt/fleet/MEMORY.md", 0o644, 0)


@pytest.mark.parametrize("stack", ["dev", "test-abc"])
def test_its_own_stacks_are_served(stack: str) -> None:
    """The development stack and those of tests are served."""
    assert server.refusal(f"urn:pulumi:{stack}::hermes-fleet::pulumi:providers:docker::default") == ""


@pytest.mark.parametrize("stack", ["prod", "development", "testing", "my-test-1", "dev2"])
def test_other_stacks_are_refused(stack: str) -> None:
    """Any other stack is refused, by its name and with the way out."""
    why = server.refusal(f"urn:pulumi:{stack}::hermes-fleet::docker:index/volume:Volume::dev")
    assert stack in why
    assert "official plugin" in why


def test_a_nested_resource_is_told_by_its_own_type() -> None:
    """The type is the last of the chain of types in a URN."""
    chain = "hermes-fleet:index:Fleet$hermes-fleet:index:FamilyRuntime$docker:index/container:Container"
    assert server.kind_of(f"urn:pulumi:dev::hermes-fleet::{chain}::it") is container


def test_a_refresh_takes_over_what_docker_says_in_the_declared_shape() -> None:
    """Inputs follow what moved, keep what did not, and gain no key that was not declared."""
    inputs = checked(memory=64, healthcheck={"tests": ["CMD", "true"], "interval": "1s"})
    state = {
        **tidy(container.SPEC, inputs),
        "memory": 80,
        "healthcheck": {**inputs["healthcheck"], "interval": "2s", "retries": 0},
    }
    back = server.read_inputs(container, inputs, state)
    assert back == {**inputs, "memory": 80, "healthcheck": {**inputs["healthcheck"], "interval": "2s"}}


def test_numbers_and_marks_of_a_message_become_plain_values() -> None:
    """Whole numbers are ints, and the official provider's own entries are left out of what is taken over."""
    message = server.to_struct(
        {"memory": 64, "cpus": "0.5", "__meta": "{}", "ports": [{"__defaults": [], "internal": 1}]}
    )
    assert server.to_python(message) == {"memory": 64, "cpus": "0.5", "ports": [{"internal": 1}]}
    assert isinstance(server.to_python(message)["memory"], int)
