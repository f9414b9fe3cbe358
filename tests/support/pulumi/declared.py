"""What a fleet declares, recorded in place of the engine.

In a process of its own: Pulumi's SDK keeps the event loop and the mocks of a process for good.
"""

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest.mock import patch

import pulumi
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from offline_docker import server
from offline_docker.properties import Properties

from components import Fleet
from fleet.container import render_all
from fleet.registry.loader import merge
from fleet.rollout.prepare import PreparedFleet
from fleet.rollout.waves import plan_waves
from fleet.settings import Health
from tests.support.fleet.changes import CHANGES
from tests.support.fleet.families import make_family, make_host, make_settings


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


def declared_inputs() -> dict[str, list[Properties]]:
    """Return what a fleet declares, by type: of a family with all changes, and of one without any."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_declare).result()


def _declare() -> dict[str, list[Properties]]:
    settings = make_settings(health=Health(start_interval=2), plugins_version="1")
    families = [make_family("all", **functools.reduce(merge, CHANGES.values())), make_family("none")]
    specs = render_all(families, settings)
    unset = [name for name, value in specs[families[0].id].inputs(start=True).items() if value is None]
    assert not unset, "set it in tests/support/fleet/changes.py"
    prepared = PreparedFleet(specs, plan_waves(families, make_host(), settings))
    engine = Recorded()
    pulumi.runtime.set_mocks(engine, "hermes-fleet", settings.stack, preview=False)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def declare() -> None:
        Fleet(settings.stack, settings)

    with patch("components.fleet.prepare_fleet", lambda *_, **__: prepared):
        declare()
    return engine.declared
