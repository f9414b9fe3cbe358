"""The offline docker provider implements every input that a fleet declares: tests on it would miss any other."""

import functools
from typing import Any

import pulumi
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from offline_docker import container, server
from offline_docker.properties import Properties, check

from components import Fleet
from fleet.container import render_all
from fleet.registry.loader import merge
from fleet.rollout.prepare import PreparedFleet
from fleet.rollout.waves import plan_waves
from fleet.settings import Health
from tests.support.fleet.changes import CHANGES
from tests.support.fleet.families import make_family, make_host, make_settings

PROVIDER = "tools/offline-docker-provider/offline_docker/container.py"
CONTAINER = "docker:index/container:Container"
# Inputs that are not in the body of Docker's create call: the provider uses them itself, or in a later call.
NOT_IN_BODY = {
    "containerReadRefreshTimeoutMilliseconds",
    "destroyGraceSeconds",
    "mustRun",
    "name",
    "networksAdvanced",
    "start",
    "uploads",
    "wait",
    "waitTimeout",
}


class Recorded(pulumi.runtime.Mocks):
    """Stands in for the engine, and records what is declared by type."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.declared: dict[str, list[Properties]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Record a resource's inputs as a provider gets them: integers, and secrets as plain values."""
        plain = {name: value["value"] if _is_secret(value) else value for name, value in args.inputs.items()}
        inputs = server.to_python(ParseDict(plain, Struct()))
        self.declared.setdefault(args.typ, []).append(inputs)
        return args.name, dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """Refuse: a fleet calls no function of a provider."""
        raise AssertionError(args.token)


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and pulumi.runtime.rpc._special_sig_key in value


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Properties]]:
    """Return what a fleet declares, by type: of a family with all changes, and of one without any."""
    settings = make_settings(health=Health(start_interval=2), plugins_version="1")
    families = [make_family("all", **functools.reduce(merge, CHANGES.values())), make_family("none")]
    specs = render_all(families, settings)
    unset = [name for name, value in specs[families[0].id].inputs(start=True).items() if value is None]
    assert not unset, "set it in tests/support/fleet/changes.py"
    prepared = PreparedFleet(specs, plan_waves(families, make_host(), settings))
    monkeypatch.setattr("components.fleet.prepare_fleet", lambda *_, **__: prepared)
    engine = Recorded()
    pulumi.runtime.set_mocks(engine, "hermes-fleet", settings.stack, preview=False)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def declare() -> None:
        Fleet(settings.stack, settings)

    declare()
    return engine.declared


def test_the_offline_provider_takes_every_input(declared: dict[str, list[Properties]]) -> None:
    """Of containers, volumes and the network: names, types and forms."""
    docker = [kind for kind in declared if kind.startswith("docker:")]
    assert sorted(docker) == sorted(kind for kind in server.KINDS if kind.startswith("docker:"))
    for kind in docker:
        for inputs in declared[kind]:
            _, failures = check(server.KINDS[kind].SPEC, inputs)
            assert failures == [], f"implement it in {PROVIDER}"


def test_the_offline_provider_passes_every_input_of_a_container_on(declared: dict[str, list[Properties]]) -> None:
    """One that it ignored would make another container than the official provider does."""
    for inputs in declared[CONTAINER]:
        body = container.create_body(check(container.SPEC, inputs)[0])
        for name in inputs.keys() - NOT_IN_BODY - {"image"}:
            without = {key: value for key, value in inputs.items() if key != name}
            assert container.create_body(check(container.SPEC, without)[0]) != body, f"{name}: pass it on in {PROVIDER}"
