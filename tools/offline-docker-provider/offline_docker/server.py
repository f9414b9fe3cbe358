"""The plugin itself: the part of Pulumi's provider protocol that the engine uses for this project."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import grpc
from docker.errors import DockerException
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from requests.exceptions import RequestException

from offline_docker import container, daemon, network, volume
from offline_docker.diff import diff, top
from offline_docker.schema import UNKNOWN, Failure, Properties, check, tidy

VERSION = "5.2.0"
RESOURCES: dict[str, Any] = {
    "docker:index/network:Network": network,
    "docker:index/volume:Volume": volume,
    "docker:index/container:Container": container,
}


def refusal(urn: str) -> str | None:
    """Return why nothing is done for the stack of a URN, None for the stacks that this provider is for."""
    stack = urn.split("::")[0].rpartition(":")[2]
    if stack == "dev" or stack.startswith("test-"):
        return None
    return f"stack {stack}: the offline docker provider serves only `dev` and `test-…`; install the official plugin"


def to_python(struct: Struct) -> Properties:
    """Return a message's properties; whole numbers as int, the engine's and the bridge's marks left out."""
    return {name: _plain(value) for name, value in MessageToDict(struct).items() if not name.startswith("__")}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name != "__defaults"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_struct(properties: Properties) -> Struct:
    """Return properties as a message."""
    struct = Struct()
    struct.update(properties)
    return struct


def read_inputs(kind: Any, inputs: Properties, state: Properties) -> Properties:
    """Return a resource's inputs after a refresh: where Docker differs, its value in the shape that was declared."""
    moved = {top(path) for path in diff(kind.SPEC, state, inputs)} & inputs.keys()
    return {**inputs, **{name: _shaped(inputs[name], state.get(name)) for name in moved}}


def _shaped(declared: Any, found: Any) -> Any:
    if isinstance(declared, dict) and isinstance(found, dict):
        return {name: found.get(name) for name in declared}
    return found


class Provider:
    """Answers the engine. Secrets reach it in the clear and the engine marks what comes back, as with the official one.

    No value of a property is ever logged or put into a message.
    """

    client: docker.APIClient

    def get_plugin_info(self, _request: Empty) -> plugin_pb2.PluginInfo:
        """Name the version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def get_schema(self, _request: pb.GetSchemaRequest) -> pb.GetSchemaResponse:
        """Return a schema that names the package; the SDK brings its own."""
        return pb.GetSchemaResponse(schema=json.dumps({"name": "docker", "version": VERSION}))

    def check_config(self, request: pb.CheckRequest) -> pb.CheckResponse:
        """Refuse stacks that are not for this provider, and every setting of it."""
        reason = "the offline docker provider takes no settings; it uses DOCKER_HOST"
        failures = [(name, reason) for name in to_python(request.news) if name not in {"version", "pluginDownloadURL"}]
        if why := refusal(request.urn):
            failures.append(("", why))
        return pb.CheckResponse(inputs=request.news, failures=_failures(failures))

    def diff_config(self, _request: pb.DiffRequest) -> pb.DiffResponse:
        """Find no difference: there are no settings."""
        return pb.DiffResponse()

    def configure(self, request: pb.ConfigureRequest) -> pb.ConfigureResponse:
        """Connect to the daemon."""
        if request.urn and (why := refusal(request.urn)):
            raise DockerException(why)
        self.client = daemon.connect()
        return pb.ConfigureResponse(supportsPreview=True)

    def check(self, request: pb.CheckRequest) -> pb.CheckResponse:
        """Fill in defaults and refuse what is not implemented."""
        kind = RESOURCES.get(_type(request.urn))
        if kind is None:
            return pb.CheckResponse(failures=_failures([("", f"{_type(request.urn)} is not implemented here")]))
        spec = {name: prop for name, prop in kind.SPEC.items() if name not in getattr(kind, "READ_ONLY", ())}
        inputs, failures = check(spec, to_python(request.news))
        if inputs.get("mustRun"):
            failures.append(("mustRun", "only `false` is implemented by the offline docker provider"))
        if why := refusal(request.urn):
            failures.append(("", why))
        return pb.CheckResponse(inputs=to_struct({**kind.DEFAULTS, **inputs}), failures=_failures(failures))

    def diff(self, request: pb.DiffRequest) -> pb.DiffResponse:
        """Say what changes and whether that takes a new resource; the old one then always goes first."""
        spec = RESOURCES[_type(request.urn)].SPEC
        changes = diff(spec, to_python(request.olds), to_python(request.news), request.ignoreChanges)
        replaces = [top(path) for path, kind in sorted(changes.items()) if kind.endswith("_REPLACE")]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changes else pb.DiffResponse.DIFF_NONE,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces),
            diffs=sorted({top(path) for path in changes}),
            stables=sorted(name for name, prop in spec.items() if prop.replaces),
            detailedDiff={path: pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(kind)) for path, kind in changes.items()},
            hasDetailedDiff=True,
        )

    def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        """Create a resource, or in a preview say what is known of it beforehand."""
        kind, inputs = RESOURCES[_type(request.urn)], to_python(request.properties)
        if request.preview:
            unknown = dict.fromkeys(("id", *kind.UNREAD), UNKNOWN)
            return pb.CreateResponse(properties=to_struct({**unknown, **kind.DEFAULTS, **tidy(kind.SPEC, inputs)}))
        identifier, state = kind.create(self.client, inputs)
        return pb.CreateResponse(id=identifier, properties=to_struct(state))

    def read(self, request: pb.ReadRequest) -> pb.ReadResponse:
        """Read a resource back; an empty answer says that it is gone."""
        kind, inputs = RESOURCES[_type(request.urn)], to_python(request.inputs)
        if not inputs:
            raise DockerException("the offline docker provider does not import resources")
        state = kind.read(self.client, request.id, to_python(request.properties))
        if state is None:
            return pb.ReadResponse()
        inputs = read_inputs(kind, inputs, state)
        return pb.ReadResponse(id=request.id, properties=to_struct(state), inputs=to_struct(inputs))

    def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        """Change a container in place; nothing else can be."""
        old, new = to_python(request.olds), to_python(request.news)
        kind = RESOURCES[_type(request.urn)]
        if kind is not container or request.preview:
            return pb.UpdateResponse(properties=to_struct({**old, **tidy(kind.SPEC, new)}))
        return pb.UpdateResponse(properties=to_struct(container.update(self.client, request.id, old, new)))

    def delete(self, request: pb.DeleteRequest) -> Empty:
        """Delete a resource; one that is gone already is no error."""
        RESOURCES[_type(request.urn)].delete(self.client, request.id, to_python(request.properties))
        return Empty()

    def cancel(self, _request: Empty) -> Empty:
        """Let what runs come to its end, as the official provider does; waits have their own limits."""
        return Empty()


METHODS: dict[str, tuple[Any, Callable[[Provider, Any], Message]]] = {
    "GetPluginInfo": (Empty, Provider.get_plugin_info),
    "GetSchema": (pb.GetSchemaRequest, Provider.get_schema),
    "CheckConfig": (pb.CheckRequest, Provider.check_config),
    "DiffConfig": (pb.DiffRequest, Provider.diff_config),
    "Configure": (pb.ConfigureRequest, Provider.configure),
    "Check": (pb.CheckRequest, Provider.check),
    "Diff": (pb.DiffRequest, Provider.diff),
    "Create": (pb.CreateRequest, Provider.create),
    "Read": (pb.ReadRequest, Provider.read),
    "Update": (pb.UpdateRequest, Provider.update),
    "Delete": (pb.DeleteRequest, Provider.delete),
    "Cancel": (Empty, Provider.cancel),
}


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _failures(failures: list[Failure]) -> list[pb.CheckFailure]:
    return [pb.CheckFailure(property=name, reason=reason) for name, reason in failures]


def _handler(provider: Provider, request_type: Any, act: Callable[[Provider, Any], Message]) -> grpc.RpcMethodHandler:
    def answer(request: Any, context: grpc.ServicerContext) -> Message:
        try:
            return act(provider, request)
        except daemon.InitError as error:
            reason = f"creating {request.urn}: 1 error occurred:\n\t* {error}\n\n"
            failed = pb.ErrorResourceInitFailed(id=error.identifier, properties=to_struct(error.state), reasons=[reason])
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
            status.details.add().Pack(failed)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNKNOWN, reason)
        except (DockerException, RequestException) as error:
            context.abort(grpc.StatusCode.UNKNOWN, daemon.message_of(error))
        raise AssertionError

    return grpc.unary_unary_rpc_method_handler(answer, request_type.FromString, lambda reply: reply.SerializeToString())


def main() -> None:
    """Serve on a free local port, announce it, and end with the engine that started this."""
    engine = os.getppid()
    provider = Provider()
    handlers = {name: _handler(provider, *method) for name, method in METHODS.items()}
    server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pulumirpc.ResourceProvider", handlers),))
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    server.start()
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        while os.getppid() == engine:
            server.wait_for_termination(timeout=1)
        server.stop(grace=daemon.CALL_TIMEOUT).wait()
