"""The plugin itself: the part of Pulumi's provider protocol that the engine uses for this project."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import methodcaller
from typing import Any

import grpc
from docker import APIClient
from docker.errors import DockerException, NotFound
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from offline_docker import container, daemon, network, volume
from offline_docker.diff import diff, top
from offline_docker.schema import UNKNOWN, Properties, Value, check, tidy

VERSION = "5.2.0"
KINDS: dict[str, Any] = {
    "docker:index/network:Network": network,
    "docker:index/volume:Volume": volume,
    "docker:index/container:Container": container,
}


def refusal(urn: str) -> str:
    """Return why nothing is done for the stack of a URN; nothing for the stacks that this provider is for."""
    stack = urn.partition("::")[0].rpartition(":")[2]
    if stack == "dev" or stack.startswith("test-"):
        return ""
    return f"stack {stack}: the offline docker provider serves only `dev` and `test-…`; install the official plugin"


def kind_of(urn: str) -> Any:  # noqa: ANN401 - a module
    """Return the module of a resource."""
    token = urn.split("::")[2].rpartition("$")[2]
    if token not in KINDS:
        raise DockerException(f"the offline docker provider does not implement {token}")
    return KINDS[token]


def to_python(struct: Struct) -> Properties:
    """Return a message's properties; whole numbers as int, the official provider's own marks left out."""
    return dict(_plain(MessageToDict(struct)))


def _plain(value: Value) -> Value:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_struct(properties: Properties) -> Struct:
    """Return properties as a message."""
    struct = Struct()
    struct.update(properties)
    return struct


def read_inputs(kind: Any, inputs: Properties, state: Properties) -> Properties:  # noqa: ANN401 - a module
    """Return a resource's inputs after a refresh: where Docker differs, its value in the shape that was declared."""
    result = dict(inputs)
    for name in {top(path) for path in diff(kind.SPEC, state, inputs)} & inputs.keys():
        found = state.get(name)
        result[name] = {key: found.get(key) for key in inputs[name]} if isinstance(found, dict) else found
    return result


class Provider:
    """Answers the engine. No value of a property is ever logged or put into a message.

    Secrets: like the official provider this one does not take them marked, so the engine hands over plain values and
    marks by itself whatever comes back under the name of an input that holds a secret.
    """

    client: APIClient

    def check_config(self, request: pb.CheckRequest) -> pb.CheckResponse:
        """Refuse stacks that are not for this provider, and every setting of it."""
        settings = to_python(request.news).keys() - {"version"}
        failures = [(name, "the offline docker provider takes no settings but DOCKER_HOST") for name in settings]
        return _checked(request, to_python(request.news), failures)

    def configure(self, request: pb.ConfigureRequest) -> pb.ConfigureResponse:
        """Connect to the daemon."""
        if why := refusal(request.urn):
            raise DockerException(why)
        self.client = daemon.connect()
        return pb.ConfigureResponse(supportsPreview=True)

    def check(self, request: pb.CheckRequest) -> pb.CheckResponse:
        """Fill in defaults and refuse what is not implemented."""
        kind = kind_of(request.urn)
        inputs, failures = check(kind.SPEC, to_python(request.news))
        if inputs.get("mustRun"):
            failures.append(("mustRun", "the offline docker provider implements only `false`"))
        return _checked(request, {**kind.DEFAULTS, **inputs}, failures)

    def diff(self, request: pb.DiffRequest) -> pb.DiffResponse:
        """Say what changes and whether that takes a new resource; the old one then always goes first."""
        spec = kind_of(request.urn).SPEC
        changes = diff(spec, to_python(request.olds), to_python(request.news), request.ignoreChanges)
        kinds = pb.PropertyDiff.Kind
        replaces = [top(path) for path, kind in changes.items() if kind.endswith("_REPLACE")]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changes else pb.DiffResponse.DIFF_NONE,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces),
            diffs=sorted({top(path) for path in changes}),
            stables=sorted(name for name, prop in spec.items() if prop.replaces),
            detailedDiff={path: pb.PropertyDiff(kind=kinds.Value(kind)) for path, kind in changes.items()},
            hasDetailedDiff=True,
        )

    def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        """Create a resource, or in a preview say what is known of it beforehand."""
        kind, inputs = kind_of(request.urn), to_python(request.properties)
        if request.preview:
            unknown = dict.fromkeys(("id", *kind.COMPUTED), UNKNOWN)
            return pb.CreateResponse(properties=to_struct({**unknown, **kind.DEFAULTS, **tidy(kind.SPEC, inputs)}))
        identifier, state = kind.create(self.client, inputs)
        return pb.CreateResponse(id=identifier, properties=to_struct(state))

    def read(self, request: pb.ReadRequest) -> pb.ReadResponse:
        """Read a resource back; an empty answer says that it is gone."""
        kind, inputs = kind_of(request.urn), to_python(request.inputs)
        if not inputs:
            raise DockerException("the offline docker provider does not import resources")
        state = kind.read(self.client, request.id, to_python(request.properties))
        if state is None:
            return pb.ReadResponse()
        inputs = read_inputs(kind, inputs, state)
        return pb.ReadResponse(id=request.id, properties=to_struct(state), inputs=to_struct(inputs))

    def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        """Change a resource in place."""
        kind, old, new = kind_of(request.urn), to_python(request.olds), to_python(request.news)
        changed = {top(path) for path in diff(kind.SPEC, old, new, request.ignoreChanges)}
        if changed & {"memory", "memorySwap", "restart"} and not request.preview:
            kind.update(self.client, request.id, new)
        return pb.UpdateResponse(properties=to_struct({**old, **{name: new.get(name) for name in changed}}))

    def delete(self, request: pb.DeleteRequest) -> Empty:
        """Delete a resource; one that is gone already is no error."""
        with contextlib.suppress(NotFound):
            kind_of(request.urn).delete(self.client, request.id, to_python(request.properties))
        return Empty()


METHODS: dict[str, tuple[Any, Callable[[Provider, Any], Message]]] = {
    "GetPluginInfo": (Empty, lambda *_: plugin_pb2.PluginInfo(version=VERSION)),
    "GetSchema": (pb.GetSchemaRequest, lambda *_: pb.GetSchemaResponse(schema=json.dumps({"name": "docker"}))),
    "CheckConfig": (pb.CheckRequest, Provider.check_config),
    "DiffConfig": (pb.DiffRequest, lambda *_: pb.DiffResponse()),
    "Configure": (pb.ConfigureRequest, Provider.configure),
    "Check": (pb.CheckRequest, Provider.check),
    "Diff": (pb.DiffRequest, Provider.diff),
    "Create": (pb.CreateRequest, Provider.create),
    "Read": (pb.ReadRequest, Provider.read),
    "Update": (pb.UpdateRequest, Provider.update),
    "Delete": (pb.DeleteRequest, Provider.delete),
    # What runs comes to its end, as with the official provider; a wait has its own limit.
    "Cancel": (Empty, lambda *_: Empty()),
}


def _checked(request: pb.CheckRequest, inputs: Properties, failures: list[tuple[str, str]]) -> pb.CheckResponse:
    failures = [("", why)] if (why := refusal(request.urn)) else failures
    listed = [pb.CheckFailure(property=name, reason=reason) for name, reason in failures]
    return pb.CheckResponse(inputs=to_struct(inputs), failures=listed)


def _answer(act: Callable[[Provider, Any], Message], provider: Provider) -> Callable[[Any, grpc.ServicerContext], Any]:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any message
        try:
            return act(provider, request)
        except daemon.InitError as error:
            reason = f"creating {request.urn}: 1 error occurred:\n\t* {error}\n\n"
            state = to_struct(error.state)
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
            status.details.add().Pack(
                pb.ErrorResourceInitFailed(id=error.identifier, properties=state, reasons=[reason])
            )
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            return context.abort(grpc.StatusCode.UNKNOWN, reason)
        except daemon.ERRORS as error:
            return context.abort(grpc.StatusCode.UNKNOWN, daemon.message_of(error))

    return answer


def main() -> None:
    """Serve on a free local port, announce it, and end with the engine that started this."""
    engine, provider = os.getppid(), Provider()
    server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.max_receive_message_length", -1)])
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            _answer(act, provider), kind.FromString, methodcaller("SerializeToString")
        )
        for name, (kind, act) in METHODS.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pulumirpc.ResourceProvider", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while os.getppid() == engine:
        server.wait_for_termination(timeout=1)
    server.stop(grace=daemon.CALL_TIMEOUT).wait()
