"""docker:index/container:Container: its properties, the API's request, and the state that is read back."""

import io
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import docker
from docker.errors import APIError, DockerException

from offline_docker.daemon import MIB, cpus, duration, kept, message_of, nanoseconds, to_bytes
from offline_docker.plain import LABELS, label_map
from offline_docker.properties import NAME, NEEDED, TEXT, Prop, Properties

TIME = Prop(str, default="0s", pattern="([0-9]+[hms])+")
FLAG, WHOLE = Prop(bool, default=False), Prop(int)
TEXTS = Prop(list, replaces=True, computed=True, item=TEXT)
TEXT_SET = Prop(set, replaces=True, computed=True, item=TEXT)
CAPABILITIES = Prop(set, item=Prop(str, pattern="ALL|CAP_[A-Z_]+"))  # the spelling in which Docker writes them back

TIMES = {"interval": "Interval", "timeout": "Timeout", "startPeriod": "StartPeriod", "startInterval": "StartInterval"}
HEALTHCHECK = {"tests": Prop(list, item=TEXT), "retries": Prop(int, default=0), **dict.fromkeys(TIMES, TIME)}
PORT = {
    "internal": Prop(int, required=True),
    "external": Prop(int, computed=True, default=0),
    "ip": Prop(str, default="0.0.0.0"),  # noqa: S104 - Docker's default; nothing listens here
    "protocol": Prop(str, default="tcp"),
}
UPLOAD = {
    "file": NEEDED,
    "permissions": Prop(str, pattern="0[0-7]{3}"),
    **dict.fromkeys(("content", "source", "sourceHash"), TEXT),
}
VOLUME = {"containerPath": NEEDED, "volumeName": TEXT, "hostPath": Prop(str, pattern="/.*"), "readOnly": FLAG}
OBJECTS = Prop(set, replaces=True, opaque=True)

SPEC = {
    **dict.fromkeys(("name", "image"), NAME),
    "entrypoints": TEXTS,
    **dict.fromkeys(("envs", "securityOpts"), TEXT_SET),
    "labels": replace(LABELS, computed=True),
    "ports": Prop(list, replaces=True, item=Prop(dict, fields=PORT)),
    "healthcheck": Prop(dict, computed=True, fields=HEALTHCHECK),
    "capabilities": Prop(dict, replaces=True, fields={"adds": CAPABILITIES, "drops": CAPABILITIES}),
    **dict.fromkeys(("memory", "memorySwap", "destroyGraceSeconds"), WHOLE),
    "cpus": Prop(str, replaces=True, pattern=r"[0-9]+(\.[0-9]*)?"),
    "shmSize": Prop(int, replaces=True, computed=True),
    "logDriver": Prop(str, replaces=True, computed=True),
    "logOpts": Prop(dict, replaces=True),
    "restart": Prop(str, default="no", pattern="no|on-failure|always|unless-stopped"),
    "mustRun": Prop(bool, required=True, pattern="False"),
    "start": Prop(bool, default=True),
    "wait": FLAG,
    "waitTimeout": Prop(int, default=60),
    "stopTimeout": Prop(int, replaces=True, computed=True),
    "containerReadRefreshTimeoutMilliseconds": Prop(int, default=15_000),
    "uploads": replace(OBJECTS, item=Prop(dict, fields=UPLOAD)),
    "volumes": replace(OBJECTS, item=Prop(dict, fields=VOLUME)),
    "networksAdvanced": replace(OBJECTS, item=Prop(dict, fields={"name": NEEDED})),
    # Missing in the state of a container whose start failed, which counts as a change.
    "command": replace(TEXTS, output=True),
    "networkDatas": Prop(list, computed=True, output=True),
    "networkMode": Prop(str, replaces=True, output=True, default="bridge"),
    "removeVolumes": Prop(bool, output=True, default=True),
}


def create_body(inputs: Properties) -> Properties:
    """Return the body of the API's request to create it."""
    volumes, capabilities = inputs.get("volumes", []), inputs.get("capabilities", {})
    ports = {
        "{internal}/{protocol}".format(**each): [{"HostIp": each["ip"], "HostPort": str(each.get("external", 0))}]
        for each in inputs.get("ports", [])
    }
    binds = [
        f"{each.get('hostPath') or each['volumeName']}:{each['containerPath']}:{'ro' if each.get('readOnly') else 'rw'}"
        for each in volumes
    ]
    body: Properties = {
        "Image": inputs["image"],
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "ExposedPorts": {port: {} for port in ports},
        "Labels": label_map(inputs),
        "Volumes": {each["containerPath"]: {} for each in volumes},
        "StopTimeout": inputs.get("stopTimeout"),
        "HostConfig": {
            "Binds": binds,
            "CapAdd": capabilities.get("adds"),
            "CapDrop": capabilities.get("drops"),
            "Init": False,
            "LogConfig": {"Type": inputs.get("logDriver", ""), "Config": inputs.get("logOpts")},
            "Memory": to_bytes(inputs.get("memory", 0)),
            "MemorySwap": to_bytes(inputs.get("memorySwap", 0)),
            "ShmSize": to_bytes(inputs.get("shmSize", 0)),
            "NanoCpus": round(float(inputs.get("cpus", 0)) * 1e9),
            "NetworkMode": inputs["networkMode"],
            "PortBindings": ports,
            "RestartPolicy": {"Name": inputs["restart"]},
            "SecurityOpt": inputs.get("securityOpts"),
        },
    }
    if health := inputs.get("healthcheck"):
        times = {theirs: nanoseconds(health[ours]) for ours, theirs in TIMES.items()}
        body["Healthcheck"] = {"Test": health.get("tests"), "Retries": health.get("retries", 0), **times}
    return body


def archive(uploads: list[Properties]) -> bytes:
    """Return uploads as a tar archive for `/`, owned by root; a `source` is read from this machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for upload in uploads:
            source, text = upload.get("source", ""), upload.get("content", "")
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            if bool(source) == bool(text):
                raise DockerException(f"error with upload content of {upload['file']}: set one of content and source")
            content = Path(source).read_bytes() if source else text.encode()
            entry.size, entry.mode, entry.mtime = len(content), int(upload.get("permissions", "0644"), 8), time.time()
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def create(client: docker.APIClient, inputs: Properties) -> tuple[str, Properties]:
    """Create the container with its uploads, start it and await its health. Raises InitError if that fails midway."""
    body = create_body(inputs)
    identifier = str(client.create_container_from_config(body, inputs["name"])["Id"])  # type: ignore[no-untyped-call]
    with kept(identifier):
        if networks := inputs.get("networksAdvanced"):
            client.disconnect_container_from_network(identifier, inputs["networkMode"])
            for network in networks:
                client.connect_container_to_network(identifier, network["name"])
        client.put_archive(identifier, "/", archive(inputs.get("uploads", [])))
        if inputs["start"]:
            _start(client, identifier, inputs["waitTimeout"] if inputs.get("wait") else 0)
        return identifier, read(client, identifier, inputs)


def _start(client: docker.APIClient, identifier: str, wait: int) -> None:
    try:
        client.start(identifier)
    except DockerException as error:
        raise DockerException(f"Unable to start container: {message_of(error)}") from error
    deadline = time.monotonic() + wait
    while wait:
        health = client.inspect_container(identifier)["State"].get("Health", {}).get("Status")
        if health == "healthy":
            return
        if health is None or time.monotonic() > deadline:
            raise DockerException("container failed to be in healthy state" if health else "'wait' needs a healthcheck")
        time.sleep(1)


def read(client: docker.APIClient, identifier: str, state: Properties) -> Properties:
    """Return the container's state; properties that only a new container can change are kept from the old state."""
    found = client.inspect_container(identifier)
    config, host, networks = found["Config"], found["HostConfig"], found["NetworkSettings"]
    bound = {port: {"external": int(each[0]["HostPort"])} for port, each in networks["Ports"].items() if each}
    result = {
        **state,
        "name": found["Name"].lstrip("/"),
        "command": config["Cmd"] or [],
        "memory": host["Memory"] // MIB,
        "memorySwap": host["MemorySwap"] // MIB,  # -1, unlimited, stays
        "shmSize": host["ShmSize"] // MIB,
        "restart": host["RestartPolicy"]["Name"],
        "ports": [{**each, **bound.get("{internal}/{protocol}".format(**each), {})} for each in state.get("ports", [])],
        "networkDatas": [{"networkName": name} for name in networks["Networks"]],
    }
    if host["NanoCpus"]:
        result["cpus"] = cpus(host["NanoCpus"])
    if health := state.get("healthcheck"):
        times = {ours: duration(config["Healthcheck"].get(theirs, 0)) for ours, theirs in TIMES.items()}
        result["healthcheck"] = {**health, **times}
    return result


def update(client: docker.APIClient, identifier: str, new: Properties) -> None:
    """Update what Docker can change in place; other properties that need no new container are only stored."""
    memory, swap = to_bytes(new.get("memory", 0)), to_bytes(new.get("memorySwap", 0))
    client.update_container(identifier, mem_limit=memory, memswap_limit=swap, restart_policy={"Name": new["restart"]})


def delete(client: docker.APIClient, identifier: str, state: Properties) -> None:
    """Stop the container with the grace period of its state, if any, and remove it."""
    client.stop(identifier, timeout=state.get("destroyGraceSeconds", 0))
    try:
        client.remove_container(identifier, v=True, force=True)
    except APIError as error:
        if "is already in progress" not in message_of(error):
            raise
