"""The least that a Pulumi program can do to declare a fleet: read plain data, hand each resource to the engine."""

import json
import os
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker


def own_file(given: list[str]) -> docker.ContainerUploadArgsDict:
    """Return a secret upload from path, content and mode."""
    file, content, mode = given
    return {"file": file, "content": pulumi.Output.secret(content), "permissions": mode}


class Bare(pulumi.ComponentResource):
    """One family's resources."""

    def __init__(self, family: dict[str, Any], scripts: list[Any], network: docker.Network) -> None:
        """Declare the volume and the container."""
        super().__init__("bare:index:Family", family["name"], family["component"])
        mine = pulumi.ResourceOptions(parent=self)
        volume = docker.Volume(family["volume"], name=family["volume"], labels=family["labels"], opts=mine)
        docker.Container(
            family["name"],
            **family["container"],
            uploads=[*map(own_file, family["uploads"]), *scripts],
            volumes=[
                {"volume_name": volume.name, "container_path": "/opt/data"},
                {"host_path": family["plugins"], "container_path": "/opt/data/plugins", "read_only": True},
            ],
            networks_advanced=[{"name": network.name}],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.register_outputs({})


data = json.loads(Path(os.environ["BENCH_FLEET"]).read_text(encoding="utf-8"))
shared = docker.Network(data["network"]["name"], **data["network"])
for each in data["families"]:
    Bare(each, data["scripts"], shared)
