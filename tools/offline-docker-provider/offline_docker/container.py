"""docker:index/container:Container: what is declared, what Docker is asked for, and what it is read back as."""

import dataclasses
import io
import tarfile
import time
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from offline_docker.daemon import DURATION, MIB, InitError, cpus, duration, mebibytes, message_of, nanoseconds
from offline_docker.network import LABELS, label_map
from offline_docker.schema import TEXT, Kind, Prop, Properties, tidy

TIME = Prop(Kind.TEXT, default="0s", pattern=DURATION)
TEXTS = Prop(Kind.LIST, replaces=True, computed=True, item=TEXT)
TEXT_SET = Prop(Kind.SET, replaces=True, computed=True, item=TEXT)
CAPABILITY_SET = Prop(Kind.SET, item=TEXT)
NEW, NEW_TEXT = Prop(Kind.TEXT, replaces=True), Prop(Kind.TEXT, replaces=True, required=True)

HEALTHCHECK = {
    "tests": Prop(Kind.LIST, item=TEXT),
    "interval": TIME,
    "timeout": TIME,
    "startPeriod": TIME,
    "startInterval": TIME,
    "retries": Prop(Kind.WHOLE, default=0),
}
PORT = {
    "internal": Prop(Kind.WHOLE, required=True),
    "external": Prop(Kind.WHOLE, computed=True),
    "ip": Prop(Kind.TEXT, default="0.0.0.0"),  # noqa: S104 - the official default; nothing listens here
    "protocol": Prop(Kind.TEXT, default="tcp"),
}
UPLOAD = {
    "file": Prop(Kind.TEXT, required=True),
    "content": Prop(Kind.TEXT, required=True),
    "permissions": Prop(Kind.TEXT, pattern="0[0-7]{3}"),
}
VOLUME = {
    "containerPath": Prop(Kind.TEXT, required=True),
    "volumeName": TEXT,
    "hostPath": Prop(Kind.TEXT, pattern="/.*"),
    "readOnly": Prop(Kind.FLAG, default=False),
}


def _set_of(fields: dict[str, Prop]) -> Prop:
    return Prop(Kind.SET, replaces=True, opaque=True, item=Prop(Kind.OBJECT, fields=fields))


SPEC = {
    "name": NEW_TEXT,
    "image": NEW_TEXT,
    "entrypoints": TEXTS,
    "envs": TEXT_SET,
    "labels": dataclasses.replace(LABELS, computed=True),
    "ports": Prop(Kind.LIST, replaces=True, item=Prop(Kind.OBJECT, fields=PORT)),
    "healthcheck": Prop(Kind.OBJECT, computed=True, fields=HEALTHCHECK),
    "capabilities": Prop(Kind.OBJECT, replaces=True, fields={"adds": CAPABILITY_SET, "drops": CAPABILITY_SET}),
    "securityOpts": TEXT_SET,
    "memory": Prop(Kind.WHOLE),
    "memorySwap": Prop(Kind.WHOLE),
    "cpus": NEW,
    "logDriver": dataclasses.replace(NEW, computed=True),
    "logOpts": Prop(Kind.MAP, replaces=True),
    "restart": Prop(Kind.TEXT, default="no", pattern="no|on-failure|always|unless-stopped"),
    "mustRun": Prop(Kind.FLAG, default=True),
    "start": Prop(Kind.FLAG, default=True),
    "wait": Prop(Kind.FLAG, default=False),
    "waitTimeout": Prop(Kind.WHOLE, default=60),
    "stopTimeout": Prop(Kind.WHOLE, replaces=True, computed=True),
    "destroyGraceSeconds": Prop(Kind.WHOLE),
    "containerReadRefreshTimeoutMilliseconds": Prop(Kind.WHOLE, default=15_000),
    "uploads": _set_of(UPLOAD),
    "volumes": _set_of(VOLUME),
    "networksAdvanced": _set_of({"name": Prop(Kind.TEXT, required=True)}),
    # Never declared here, but part of every state, and missing in that of a container whose start failed.
    "command": TEXTS,
    "networkDatas": Prop(Kind.LIST, computed=True),
}
READ_ONLY = ("command", "networkDatas")
DEFAULTS = {"networkMode": "bridge", "removeVolumes": True}
UNREAD = ("bridge", "command", "exitCode", "hostname", "logDriver", "networkDatas", "platform")


def create_body(inputs: Properties) -> Properties:
    """Return what Docker's API is asked to create."""
    ports = {f"{port['internal']}/{port['protocol']}": [_binding(port)] for port in inputs.get("ports") or []}
    volumes = inputs.get("volumes") or []
    capabilities = inputs.get("capabilities") or {}
    host: Properties = {
        "Binds": [_bind(each) for each in volumes],
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "Init": False,
        "LogConfig": {"Type": inputs.get("logDriver", ""), "Config": inputs.get("logOpts")},
        "Memory": inputs.get("memory", 0) * MIB,
        "MemorySwap": _swap(inputs.get("memorySwap", 0)),
        "NanoCpus": int(round(float(inputs.get("cpus", 0)) * 1e9)),
        "NetworkMode": inputs.get("networkMode", "bridge"),
        "PortBindings": ports,
        "RestartPolicy": {"Name": inputs["restart"], "MaximumRetryCount": 0},
        "SecurityOpt": inputs.get("securityOpts"),
    }
    body: Properties = {
        "Image": inputs["image"],
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "ExposedPorts": {port: {} for port in ports},
        "Labels": label_map(inputs),
        "Volumes": {each["containerPath"]: {} for each in volumes},
        "HostConfig": host,
    }
    if inputs.get("stopTimeout"):
        body["StopTimeout"] = inputs["stopTimeout"]
    if check := inputs.get("healthcheck"):
        times = {key[0].upper() + key[1:]: nanoseconds(check[key]) for key, prop in HEALTHCHECK.items() if prop is TIME}
        body["Healthcheck"] = {"Test": check.get("tests"), **times, "Retries": check.get("retries", 0)}
    return body


def _binding(port: Properties) -> dict[str, str]:
    return {"HostIp": port["ip"], "HostPort": str(port.get("external") or 0)}


def _bind(volume: Properties) -> str:
    source = volume.get("hostPath") or volume["volumeName"]
    return f"{source}:{volume['containerPath']}:{'ro' if volume.get('readOnly') else 'rw'}"


def _swap(mib: int) -> int:
    return mib * MIB if mib > 0 else mib


def archive(uploads: list[Properties]) -> bytes:
    """Return the uploads as one tar archive to be unpacked at the root, all of it root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for upload in uploads:
            content = upload["content"].encode()
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            entry.mode, entry.size = int(upload.get("permissions") or "0644", 8), len(content)
            entry.mtime = int(time.time())
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def create(client: docker.APIClient, inputs: Properties) -> tuple[str, Properties]:
    """Create the container, write its uploads, and start it and wait for its health where that is declared.

    Raises `InitError` when it exists but one of the later steps failed.
    """
    _provide_image(client, inputs["image"])
    identifier = client.create_container_from_config(create_body(inputs), inputs["name"])["Id"]
    try:
        _finish(client, identifier, inputs)
    except (DockerException, RequestException, TimeoutError) as error:
        raise InitError(identifier, _declared(inputs, identifier), message_of(error)) from error
    return identifier, read(client, identifier, inputs) or {}


def _provide_image(client: docker.APIClient, image: str) -> None:
    try:
        client.inspect_image(image)
    except ImageNotFound:
        try:
            client.pull(image)
        except DockerException as error:
            what = f"Unable to create container with image {image}: unable to pull image {image}: {message_of(error)}"
            raise DockerException(what) from error


def _finish(client: docker.APIClient, identifier: str, inputs: Properties) -> None:
    if networks := inputs.get("networksAdvanced"):
        client.disconnect_container_from_network(identifier, "bridge")
        for network in networks:
            client.connect_container_to_network(identifier, network["name"])
    if uploads := inputs.get("uploads"):
        client.put_archive(identifier, "/", archive(uploads))
    if inputs["start"]:
        try:
            client.start(identifier)
        except DockerException as error:
            raise DockerException(f"Unable to start container: {message_of(error)}") from error
        if inputs.get("wait"):
            _await_health(client, identifier, inputs["waitTimeout"])


def _await_health(client: docker.APIClient, identifier: str, seconds: int) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        health = client.inspect_container(identifier)["State"].get("Health")
        if health is None:
            raise DockerException("the argument 'wait' needs a container with a healthcheck: declare one")
        if health["Status"] == "healthy":
            return
        time.sleep(max(0.0, min(1.0, deadline - time.monotonic())))
    raise TimeoutError("container failed to be in healthy state")


def _declared(inputs: Properties, identifier: str) -> Properties:
    ports = [{**port, "external": port.get("external", 0)} for port in inputs.get("ports") or []]
    return {**tidy(SPEC, inputs), **DEFAULTS, "ports": ports, "id": identifier}


def read(client: docker.APIClient, identifier: str, state: Properties) -> Properties | None:
    """Return the container's state, None where it is gone. A stopped one is as good as a running one."""
    try:
        found = client.inspect_container(identifier)
    except NotFound:
        return None
    return read_back(found, state)


def read_back(found: Properties, state: Properties) -> Properties:
    """Return the state of a container that Docker describes as `found`; what it does not tell stays as it was."""
    config, host, networks = found["Config"], found["HostConfig"], found["NetworkSettings"]
    result = {
        **_declared(state, found["Id"]),
        "name": found["Name"].lstrip("/"),
        "image": found["Image"] if state["image"].startswith("sha256:") else config["Image"],
        "hostname": config["Hostname"],
        "command": config["Cmd"] or [],
        "entrypoints": config["Entrypoint"] or [],
        "securityOpts": sorted(host["SecurityOpt"] or []),
        "memory": mebibytes(host["Memory"]),
        "memorySwap": mebibytes(host["MemorySwap"]),
        "restart": host["RestartPolicy"]["Name"],
        "logDriver": host["LogConfig"]["Type"],
        "networkMode": host["NetworkMode"],
        "stopTimeout": config.get("StopTimeout"),
        "platform": found["Platform"],
        "bridge": networks.get("Bridge", ""),
        "networkDatas": [_network_data(name, each) for name, each in (networks["Networks"] or {}).items()],
    }
    if state.get("logOpts"):
        result["logOpts"] = host["LogConfig"]["Config"]
    if host["NanoCpus"]:
        result["cpus"] = cpus(host["NanoCpus"])
    if host["CapAdd"] or host["CapDrop"]:
        result["capabilities"] = {"adds": sorted(host["CapAdd"] or []), "drops": sorted(host["CapDrop"] or [])}
    if check := config.get("Healthcheck"):
        times = {key: duration(check.get(key[0].upper() + key[1:], 0)) for key, p in HEALTHCHECK.items() if p is TIME}
        result["healthcheck"] = {"tests": check.get("Test") or [], **times, "retries": check.get("Retries", 0)}
    if not found["State"]["Running"]:
        result["exitCode"] = found["State"]["ExitCode"]
    elif state.get("ports"):
        result["ports"] = _ports(networks["Ports"])
    return result


def _ports(bindings: dict[str, list[dict[str, str]] | None]) -> list[Properties]:
    found = []
    for key, published in sorted(bindings.items(), key=lambda each: int(each[0].partition("/")[0])):
        internal, _, protocol = key.partition("/")
        for each in published or []:
            port = {"internal": int(internal), "external": int(each["HostPort"]), "ip": each["HostIp"]}
            found.append({**port, "protocol": protocol})
    return found


def _network_data(name: str, endpoint: Properties) -> dict[str, Any]:
    address = {"ipAddress": endpoint["IPAddress"], "ipPrefixLength": endpoint["IPPrefixLen"]}
    return {"networkName": name, **address, "gateway": endpoint["Gateway"], "macAddress": endpoint["MacAddress"]}


def update(client: docker.APIClient, identifier: str, old: Properties, new: Properties) -> Properties:
    """Change in place what Docker can; everything else that needs no new container is written down only."""
    if any(old.get(key) != new.get(key) for key in ("memory", "memorySwap", "restart")):
        client.update_container(
            identifier,
            mem_limit=new.get("memory", 0) * MIB,
            memswap_limit=_swap(new.get("memorySwap", 0)),
            restart_policy={"Name": new["restart"], "MaximumRetryCount": 0},
        )
    return {**old, **{key: new.get(key) for key in SPEC if key not in READ_ONLY}, **tidy(SPEC, new)}


def delete(client: docker.APIClient, identifier: str, state: Properties) -> None:
    """Stop the container, with the grace that its state names and none otherwise, and remove it."""
    try:
        client.stop(identifier, timeout=state.get("destroyGraceSeconds") or 0)
        client.remove_container(identifier, v=True, force=True)
    except NotFound:
        return
