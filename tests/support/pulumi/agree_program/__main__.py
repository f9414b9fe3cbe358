"""One network, one volume and one container, declared as the fleet declares them; `AGREE` changes details."""

import json
import os

import pulumi
import pulumi_docker as docker

GIVEN = json.loads(os.environ["AGREE"])
NAME = GIVEN["name"]

HEALTHY = "mkdir -p /tmp/www; echo ok > /tmp/www/health; exec httpd -f -p 8642 -h /tmp/www\n"
SICK = "exec sleep 600\n"


def on_error(args: pulumi.ErrorHookArgs) -> bool:
    """Say that the hook ran."""
    pulumi.log.info(f"hook: {args.failed_operation} of {args.name} failed")
    return False


network = docker.Network(
    "network",
    name=NAME,
    driver="bridge",
    options={"com.docker.network.bridge.enable_icc": "false"},
    labels=[{"label": "agree/name", "value": NAME}],
)
volume = docker.Volume(
    "volume",
    name=NAME,
    labels=[{"label": "agree/name", "value": NAME}],
    opts=pulumi.ResourceOptions(retain_on_delete=True, ignore_changes=["labels", "driver", "driverOpts"]),
)
docker.Container(
    "container",
    **{
        "name": NAME,
        "image": GIVEN["image"],
        "entrypoints": ["/bin/sh", "/opt/fleet/boot.sh"],
        "envs": ["ONE=1", "TWO=2"],
        "labels": [{"label": "agree/name", "value": NAME}, {"label": "agree/two", "value": "2"}],
        "ports": [{"internal": 8642, "ip": "127.0.0.1", "protocol": "tcp"}],
        "healthcheck": {
            "tests": ["CMD", "/bin/sh", "/opt/fleet/health.sh"],
            "interval": "1s",
            "timeout": "2s",
            "start_period": "1m0s",
            "retries": 3,
        },
        "capabilities": {"adds": ["CAP_CHOWN", "CAP_KILL"], "drops": ["ALL"]},
        "security_opts": ["no-new-privileges:true"],
        "memory": 64,
        "memory_swap": 64,
        "cpus": "0.5",
        "log_driver": "json-file",
        "log_opts": {"max-file": "3", "max-size": "10m"},
        "restart": "unless-stopped",
        "must_run": False,
        "start": True,
        "wait": True,
        "wait_timeout": 3 if GIVEN["sick"] else 60,
        "stop_timeout": 30,
        "destroy_grace_seconds": 1,
        "container_read_refresh_timeout_milliseconds": 15_000,
        "uploads": [
            {"file": "/opt/fleet/env", "content": pulumi.Output.secret(GIVEN["secret"]), "permissions": "0600"},
            {"file": "/opt/fleet/boot.sh", "content": SICK if GIVEN["sick"] else HEALTHY, "permissions": "0755"},
            {"file": "/opt/fleet/health.sh", "source": "health.sh", "source_hash": GIVEN["hash"]},
        ],
        "volumes": [
            {"volume_name": volume.name, "container_path": "/opt/data"},
            {"host_path": "/opt", "container_path": "/opt/data/plugins", "read_only": True},
        ],
        "networks_advanced": [{"name": network.name}],
        **GIVEN["inputs"],
    },
    opts=pulumi.ResourceOptions(
        delete_before_replace=True,
        replace_on_changes=["*"] if GIVEN["replace"] else None,
        ignore_changes=["start", "wait", "waitTimeout", "destroyGraceSeconds", "labels"],
        hooks=pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook("on-error", on_error)]),
    ),
)
