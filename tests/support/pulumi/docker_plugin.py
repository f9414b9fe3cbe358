"""Talks to a docker provider plugin as the engine does, but without the engine, which is much faster."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc, status_pb2

from tests.support.pulumi.providers import plugin_file
from tests.support.pulumi.pulumi_stack import Provider

Properties = dict[str, Any]
STACK = "urn:pulumi:test-agree::agree::"


@dataclass(frozen=True)
class Made:
    """The result of a creation: the resource's id and state, and the error if it failed."""

    id: str
    state: Properties
    failure: str = ""


@dataclass(frozen=True)
class Plugin:
    """A running, configured plugin."""

    stub: Any

    def check(self, kind: str, news: Properties) -> tuple[Properties, list[str]]:
        """Return the checked inputs and the reasons against them."""
        reply = self.stub.Check(pb.CheckRequest(urn=_urn(kind), news=_struct(news), randomSeed=b"0" * 32))
        return MessageToDict(reply.inputs), [f"{each.property}: {each.reason}" for each in reply.failures]

    def diff(
        self, kind: str, made: Made, inputs: Properties, news: Properties, ignore: Sequence[str] = ()
    ) -> Properties:
        """Return the plugin's diff in a canonical order."""
        request = pb.DiffRequest(
            id=made.id,
            urn=_urn(kind),
            olds=_struct(made.state),
            old_inputs=_struct(inputs),
            news=_struct(news),
            ignoreChanges=ignore,
        )
        reply = self.stub.Diff(request)
        return {
            "changes": reply.changes,
            "replaces": sorted(reply.replaces),
            "diffs": sorted(reply.diffs),
            "first delete": reply.deleteBeforeReplace,
            "paths": {path: pb.PropertyDiff.Kind.Name(each.kind) for path, each in reply.detailedDiff.items()},
        }

    def create(self, kind: str, inputs: Properties) -> Made:
        """Create a resource."""
        try:
            reply = self.stub.Create(pb.CreateRequest(urn=_urn(kind), properties=_struct(inputs)))
        except grpc.RpcError as error:
            return _half_made(error)
        return Made(reply.id, MessageToDict(reply.properties))

    def read(self, kind: str, made: Made, inputs: Properties) -> tuple[Made, Properties]:
        """Read a resource back: state and inputs."""
        request = pb.ReadRequest(id=made.id, urn=_urn(kind), properties=_struct(made.state), inputs=_struct(inputs))
        reply = self.stub.Read(request)
        return Made(reply.id, MessageToDict(reply.properties)), MessageToDict(reply.inputs)

    def delete(self, kind: str, made: Made) -> None:
        """Delete a resource."""
        self.stub.Delete(pb.DeleteRequest(id=made.id, urn=_urn(kind), properties=_struct(made.state)))


@contextmanager
def running(provider: Provider) -> Iterator[Plugin]:
    """Run and configure a provider's plugin inside the block."""
    process = subprocess.Popen(
        [plugin_file(provider.home), "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout
        with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
            urn = f"{STACK}pulumi:providers:docker::default"
            stub.Configure(pb.ConfigureRequest(urn=urn, args=_struct({"version": "5.2.0"})), timeout=30)
            yield Plugin(stub)
    finally:
        process.kill()
        process.communicate()


def _urn(kind: str) -> str:
    return f"{STACK}docker:index/{kind.lower()}:{kind}::it"


def _struct(properties: Properties) -> Any:
    return ParseDict(properties, Struct())


def _half_made(error: Any) -> Made:
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    if details is None:
        return Made("", {}, error.details())
    failed = pb.ErrorResourceInitFailed()
    status_pb2.Status.FromString(details).details[0].Unpack(failed)
    return Made(failed.id, MessageToDict(failed.properties), "\n".join(failed.reasons))
