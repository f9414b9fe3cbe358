"""The plugin: the part of Pulumi's provider protocol that the engine uses for this project."""
# ruff: noqa: ANN401, ARG002, N802 - the protocol names the methods, their arguments and types

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import grpc
from docker.errors import DockerException, NotFound
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import ListValue, Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from offline_docker import container, daemon
from offline_docker.plain import NETWORK, VOLUME
from offline_docker.properties import TEXT, UNKNOWN, Value, check, diff

VERSION = "5.2.0"
PROJECT = "hermes-fleet"
KINDS: dict[str, Any] = {
    "docker:index/container:Container": container,
    "docker:index/network:Network": NETWORK,
    "docker:index/volume:Volume": VOLUME,
    "pulumi:providers:docker": SimpleNamespace(SPEC={"version": TEXT}),
}


def refuse_stack(urn: str) -> None:
    """Raise DockerException unless a URN belongs to a stack that this provider serves."""
    before, project, *_ = urn.split("::")
    stack = before.rpartition(":")[2]
    if stack != "dev" and not stack.startswith("test-"):
        raise DockerException(f"{stack}: this provider serves only `dev` and `test-…`; install the official plugin")
    if stack == "dev" and project != PROJECT:
        why = f"of stacks named `dev` this provider serves only that of {PROJECT}"
        raise DockerException(f"{project}: {why}; unset PULUMI_HOME, which .state/env has set for that one")


def kind_of(urn: str) -> Any:
    """Return the implementation of the type in a URN."""
    token = urn.split("::")[2].rpartition("$")[2]
    if token not in KINDS:
        raise DockerException(f"the offline docker provider does not implement {token}")
    return KINDS[token]


def to_python(value: Value) -> Value:
    """Return a message's properties: integers as int, without nulls and the official provider's internal entries."""
    if isinstance(value, Struct):
        return {key: to_python(each) for key, each in value.items() if each is not None and not key.startswith("__")}
    if isinstance(value, ListValue):
        return [to_python(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine. No value of a property is ever logged or put into a message.

    Secrets come as plain values, as with the official provider: the engine marks what comes back under their names.
    """

    def GetPluginInfo(self, request: Empty, context: Any) -> plugin_pb2.PluginInfo:
        """Return the version that this provider stands in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def Configure(self, request: pb.ConfigureRequest, context: Any) -> pb.ConfigureResponse:
        """Connect to the daemon."""
        refuse_stack(request.urn)
        self.client = daemon.connect()
        return pb.ConfigureResponse(supportsPreview=True)

    def Check(self, request: pb.CheckRequest, context: Any) -> pb.CheckResponse:
        """Fill in defaults and reject what is not implemented, in a resource's inputs or the provider's settings."""
        inputs, wrong = check(kind_of(request.urn).SPEC, to_python(request.news))
        failures = [pb.CheckFailure(property=name, reason=reason) for name, reason in wrong]
        return pb.CheckResponse(inputs=inputs, failures=failures)

    CheckConfig = Check

    def Diff(self, request: pb.DiffRequest, context: Any) -> pb.DiffResponse:
        """Return what changes and whether it needs a new resource; the old one is then deleted first."""
        spec = kind_of(request.urn).SPEC
        changes = diff(spec, to_python(request.olds), to_python(request.news), request.ignoreChanges)
        paths = [each for found in changes.values() for each in found.items()]
        replaces = [name for name, found in changes.items() if spec[name].replaces for _ in found]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changes else pb.DiffResponse.DIFF_NONE,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces),
            diffs=list(changes),
            detailedDiff={path: pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(kind)) for path, kind in paths},
            hasDetailedDiff=True,
        )

    def Create(self, request: pb.CreateRequest, context: Any) -> pb.CreateResponse:
        """Create a resource; in a preview return the known outputs."""
        kind, inputs = kind_of(request.urn), to_python(request.properties)
        if request.preview:
            unknown = {name: UNKNOWN for name, prop in kind.SPEC.items() if prop.computed}
            return pb.CreateResponse(properties={**unknown, **inputs})
        identifier, state = kind.create(self.client, inputs)
        return pb.CreateResponse(id=identifier, properties={**state, "id": identifier})

    def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        """Read a resource; an empty response means that it is gone. Inputs are updated where Docker differs."""
        kind, inputs = kind_of(request.urn), to_python(request.inputs)
        if not inputs:
            raise DockerException("the offline docker provider does not import resources")
        with suppress(NotFound):
            state = kind.read(self.client, request.id, to_python(request.properties))
            inputs |= {name: state.get(name) for name in inputs.keys() & diff(kind.SPEC, state, inputs)}
            return pb.ReadResponse(id=request.id, properties=state, inputs=inputs)
        return pb.ReadResponse()

    def Update(self, request: pb.UpdateRequest, context: Any) -> pb.UpdateResponse:
        """Change a resource in place."""
        kind, old, new = kind_of(request.urn), to_python(request.olds), to_python(request.news)
        changed = diff(kind.SPEC, old, new, request.ignoreChanges).keys()
        if changed & {"memory", "memorySwap", "restart"} and not request.preview:
            kind.update(self.client, request.id, new)
        return pb.UpdateResponse(properties={**old, **{name: new.get(name) for name in changed}})

    def Delete(self, request: pb.DeleteRequest, context: Any) -> Empty:
        """Delete a resource; a missing one is no error."""
        with suppress(NotFound):
            kind_of(request.urn).delete(self.client, request.id, to_python(request.properties))
        return Empty()


class Failures(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC brings no types
    """Turns exceptions into the protocol's errors, with the resource if it was created."""

    def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call, wrapped."""
        handler = continuation(details)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return handler.unary_unary(request, context)
            except daemon.InitError as error:
                identifier, why = error.args
                reason = f"creating {request.urn}: 1 error occurred:\n\t* {why}\n\n"
                state = {**to_python(request.properties), "id": identifier}
                failed = pb.ErrorResourceInitFailed(id=identifier, properties=state, reasons=[reason])
                status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
                status.details.add().Pack(failed)
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
                context.abort(grpc.StatusCode.UNKNOWN, reason)
            except daemon.ERRORS as error:
                context.abort(grpc.StatusCode.UNKNOWN, daemon.message_of(error))

        return grpc.unary_unary_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)
