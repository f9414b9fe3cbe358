"""docker:index/container:Container: what is declared, what Docker is asked for, and what it is read back as."""

import dataclasses
import io
import tarfile
import time

import docker
from docker.errors import DockerException, NotFound

from offline_docker.daemon import DURATION, ERRORS, InitError, cpus, duration, message_of, nanoseconds, to_bytes, to_mib
from offline_docker.network import LABELS, NAME, label_map
from offline_docker.schema import TEXT, Kind, Prop, Properties, Value, tidy

TIME = Prop(Kind.TEXT, default="0s", pattern=f"{DURATION}+")
FLAG, WHOLE = Prop(Kind.FLAG), Prop(Kind.WHOLE)
NEEDED, NEEDED_WHOLE = Prop(Kind.TEXT, required=True), Prop(Kind.WHOLE, required=True)
TEXTS = Prop(Kind.LIST, replaces=True, computed=True, item=TEXT)
TEXT_SET = Prop(Kind.SET, replaces=True, computed=True, item=TEXT)
# Docker writes other spellings back as these.
CAPABILITIES = Prop(Kind.SET, item=Prop(Kind.TEXT, pattern="ALL|CAP_[A-Z_]+"))

HEALTHCHECK_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "startPeriod": "StartPeriod",
    "startInterval": "StartInterval",
}
HEALTHCHECK = {
    "tests": Prop(Kind.LIST, item=TEXT),
    "retries": Prop(Kind.WHOLE, default=0),
    **dict.fromkeys(HEALTHCHECK_TIMES, TIME),
}
PORT = {
    "internal": NEEDED_WHOLE,
    "external": Prop(Kind.WHOLE, computed=True),
    "ip": Prop(Kind.TEXT, default="0.0.0.0"),  # noqa: S104 - Docker's default; nothing listens here
    "protocol": Prop(Kind.TEXT, default="tcp"),
}
UPLOAD = {"file": NEEDED, "content": NEEDED, "permissions": Prop(Kind.TEXT, pattern="0[0-7]{3}")}
VOLUME = {
    "containerPath": NEEDED,
    "volumeName": TEXT,
    "hostPath": Prop(Kind.TEXT, pattern="/.*"),
    "readOnly": Prop(Kind.FLAG, default=False),
}


def _objects(fields: dict[str, Prop]) -> Prop:
    return Prop(Kind.SET, replaces=True, opaque=True, item=Prop(Kind.OBJECT, fields=fields))


SPEC = {
    "name": NAME,
    "image": NAME,
    "entrypoints": TEXTS,
    "envs": TEXT_SET,
    "labels": dataclasses.replace(LABELS, computed=True),
    "ports": Prop(Kind.LIST, replaces=True, item=Prop(Kind.OBJECT, fields=PORT)),
    "healthcheck": Prop(Kind.OBJECT, computed=True, fields=HEALTHCHECK),
    "capabilities": Prop(Kind.OBJECT, replaces=True, fields={"adds": CAPABILITIES, "drops": CAPABILITIES}),
    "securityOpts": TEXT_SET,
    "memory": WHOLE,
    "memorySwap": WHOLE,
    "cpus": Prop(Kind.TEXT, replaces=True, pattern=r"[0-9]+(\.[0-9]+)?"),
    "logDriver": Prop(Kind.TEXT, replaces=True, computed=True),
    "logOpts": Prop(Kind.MAP, replaces=True),
    "restart": Prop(Kind.TEXT, default="no", pattern="no|on-failure|always|unless-stopped"),
    "mustRun": Prop(Kind.FLAG, default=True),
    "start": Prop(Kind.FLAG, default=True),
    "wait": Prop(Kind.FLAG, default=False),
    "waitTimeout": Prop(Kind.WHOLE, default=60),
    "stopTimeout": Prop(Kind.WHOLE, replaces=True, computed=True),
    "destroyGraceSeconds": WHOLE,
    "containerReadRefreshTimeoutMilliseconds": Prop(Kind.WHOLE, default=15_000),
    "uploads": _objects(UPLOAD),
    "volumes": _objects(VOLUME),
    "networksAdvanced": _objects({"name": NEEDED}),
    # Missing in the state of a container whose start failed, which counts as a change.
    "command": dataclasses.replace(TEXTS, output=True),
    "networkDatas": Prop(Kind.LIST, computed=True, output=True),
}
COMPUTED = ("command", "networkDatas")
DEFAULTS: Properties = {"networkMode": "bridge", "removeVolumes": True}


def create_body(inputs: Properties) -> Properties:
    """Return what Docker's API is asked to create."""
    ports = {f"{each['internal']}/{each['protocol']}": [_binding(each)] for each in inputs.get("ports") or []}
    volumes, capabilities = inputs.get("volumes") or [], inputs.get("capabilities") or {}
    body: Properties = {
        "Image": inputs["image"],
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "ExposedPorts": {port: {} for port in ports},
        "Labels": label_map(inputs),
        "Volumes": {each["containerPath"]: {} for each in volumes},
        "StopTimeout": inputs.get("stopTimeout"),
        "HostConfig": {
            "Binds": [_bind(each) for each in volumes],
            "CapAdd": capabilities.get("adds"),
            "CapDrop": capabilities.get("drops"),
            "Init": False,
            "LogConfig": {"Type": inputs.get("logDriver", ""), "Config": inputs.get("logOpts")},
            "Memory": to_bytes(inputs.get("memory", 0)),
            "MemorySwap": to_bytes(inputs.get("memorySwap", 0)),
            "NanoCpus": round(float(inputs.get("cpus", 0)) * 1e9),
            "NetworkMode": DEFAULTS["networkMode"],
            "PortBindings": ports,
            "RestartPolicy": {"Name": inputs["restart"]},
            "SecurityOpt": inputs.get("securityOpts"),
        },
    }
    if health := inputs.get("healthcheck"):
        times = {theirs: nanoseconds(health[ours]) for ours, theirs in HEALTHCHECK_TIMES.items()}
        body["Healthcheck"] = {"Test": health.get("tests"), "Retries": health.get("retries", 0), **times}
    return body


def _binding(port: Properties) -> dict[str, str]:
    return {"HostIp": port["ip"], "HostPort": str(port.get("external") or 0)}


def _bind(volume: Properties) -> str:
    source = volume.get("hostPath") or volume["volumeName"]
    return f"{source}:{volume['containerPath']}:{'ro' if volume.get('readOnly') else 'rw'}"


def archive(uploads: list[Properties]) -> bytes:
    """Return uploads as one tar archive to be unpacked at the root, all of it root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for upload in uploads:
            content, entry = upload["content"].encode(), tarfile.TarInfo(upload["file"].lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(content), int(upload.get("permissions", "0644"), 8), time.time()
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def create(client: docker.APIClient, inputs: Properties) -> tuple[str, Properties]:
    """Create the container, write its uploads, and start it and wait for its health where that is declared.

    Raises `InitError` when it exists but a later step failed.
    """
    body = create_body(inputs)
    identifier = client.create_container_from_config(body, inputs["name"])["Id"]  # type: ignore[no-untyped-call]
    try:
        if networks := inputs.get("networksAdvanced"):
            client.disconnect_container_from_network(identifier, DEFAULTS["networkMode"])
            for network in networks:
                client.connect_container_to_network(identifier, network["name"])
        client.put_archive(identifier, "/", archive(inputs.get("uploads") or []))
        if inputs["start"]:
            _start(client, identifier, inputs["waitTimeout"] if inputs.get("wait") else 0)
    except ERRORS as error:
        raise InitError(identifier, _declared(inputs, identifier), message_of(error)) from error
    return identifier, read(client, identifier, inputs) or {}


def _start(client: docker.APIClient, identifier: str, wait: int) -> None:
    try:
        client.start(identifier)
    except DockerException as error:
        raise DockerException(f"Unable to start container: {message_of(error)}") from error
    deadline = time.monotonic() + wait
    while wait:
        health = client.inspect_container(identifier)["State"].get("Health")
        if health is None:
            raise DockerException("'wait' needs a healthcheck, and the container has none")
        if health["Status"] == "healthy":
            return
        if time.monotonic() > deadline:
            raise DockerException("container failed to be in healthy state")
        time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


def _declared(inputs: Properties, identifier: str) -> Properties:
    ports = [{"external": 0, **each} for each in inputs.get("ports") or []]
    return {**tidy(SPEC, inputs), **DEFAULTS, "ports": ports, "id": identifier}


def read(client: docker.APIClient, identifier: str, state: Properties) -> Properties | None:
    """Return the container's state, None where it is gone. A stopped one is as good as a running one."""
    try:
        return read_back(client.inspect_container(identifier), state)
    except NotFound:
        return None


def read_back(found: Properties, state: Properties) -> Properties:
    """Return the state of a container that Docker describes as `found`; what it does not tell stays as it was."""
    config, host, networks = found["Config"], found["HostConfig"], found["NetworkSettings"]
    result = {
        **_declared(state, found["Id"]),
        "name": found["Name"].lstrip("/"),
        "image": found["Image"] if state["image"].startswith("sha256:") else config["Image"],
        "command": config["Cmd"] or [],
        "entrypoints": config["Entrypoint"] or [],
        "securityOpts": sorted(host["SecurityOpt"] or []),
        "memory": to_mib(host["Memory"]),
        "memorySwap": to_mib(host["MemorySwap"]),
        "restart": host["RestartPolicy"]["Name"],
        "logDriver": host["LogConfig"]["Type"],
        "stopTimeout": config.get("StopTimeout"),
        "networkDatas": [
            {"networkName": name, "ipAddress": each["IPAddress"]} for name, each in networks["Networks"].items()
        ],
    }
    if state.get("logOpts"):
        result["logOpts"] = host["LogConfig"]["Config"]
    if host["NanoCpus"]:
        result["cpus"] = cpus(host["NanoCpus"])
    if host["CapAdd"] or host["CapDrop"]:
        result["capabilities"] = {"adds": sorted(host["CapAdd"] or []), "drops": sorted(host["CapDrop"] or [])}
    if health := config.get("Healthcheck"):
        times = {ours: duration(health.get(theirs, 0)) for ours, theirs in HEALTHCHECK_TIMES.items()}
        result["healthcheck"] = {"tests": health.get("Test") or [], "retries": health.get("Retries", 0), **times}
    if found["State"]["Running"] and state.get("ports"):
        result["ports"] = [port for key in networks["Ports"].items() for port in _published(*key)]
    return result


def _published(key: str, bindings: list[dict[str, str]] | None) -> list[dict[str, Value]]:
    port, _, protocol = key.partition("/")
    known = {"internal": int(port), "protocol": protocol}
    return [{**known, "external": int(each["HostPort"]), "ip": each["HostIp"]} for each in bindings or []]


def update(client: docker.APIClient, identifier: str, new: Properties) -> None:
    """Change in place what Docker can; the rest of what takes no new container is only written down."""
    memory, swap = to_bytes(new.get("memory", 0)), to_bytes(new.get("memorySwap", 0))
    client.update_container(identifier, mem_limit=memory, memswap_limit=swap, restart_policy={"Name": new["restart"]})


def delete(client: docker.APIClient, identifier: str, state: Properties) -> None:
    """Stop the container, with the grace that its state names and none otherwise, and remove it."""
    client.stop(identifier, timeout=state.get("destroyGraceSeconds") or 0)
    client.remove_container(identifier, v=True, force=True)
