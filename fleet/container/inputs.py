"""Inputs of a family's container, in the canonical form in which Docker reads them back.

The provider compares what is declared with what it reads: a value in another form would replace the container at every
`up`. A new input goes into `container_inputs`, and what a reviewer should see of it into `component_inputs`.
"""

from typing import Any

from fleet import naming
from fleet.container.credentials import credentials_of
from fleet.naming import FLEET
from fleet.registry import Family
from fleet.settings import HEALTHCHECK_TIMEOUT, Health, Settings

ENV_LINE = "HERMES_FLEET_LINE"

# How long an agent may take to stop: it drains (`rendering.DRAIN_TIMEOUT`), then it closes.
DRAIN_SECONDS = 15

# What upstream's entry points need as root. Without KILL tini cannot pass SIGTERM on and the agent never drains.
CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID")

# The provider's read timeout. It has no effect on a container, so a changed value is how one is created again.
READ_TIMEOUT_MS = 15_000

# Inputs that only say how a container is created: a difference in them replaces none.
STEERING = ("start", "wait", "waitTimeout", "destroyGraceSeconds", "labels")
RECREATE = "containerReadRefreshTimeoutMilliseconds"


def image_of(family: Family, settings: Settings) -> str:
    """Return the image reference of a family, as written."""
    return family.image or settings.image


def environment(family: Family, settings: Settings) -> list[str]:
    """Return the container's environment. It holds no secrets: `docker inspect` shows it."""
    entries = {
        ENV_LINE: settings.hermes_line,
        "HERMES_FLEET_PLUGINS_VERSION": settings.plugins_version,
        "HERMES_DASHBOARD": "1" if family.dashboard else "",
        "HERMES_GATEWAY_NO_SUPERVISE": "" if family.supervise else "1",
        # s6 kills a service this long after TERM. Its default of 3 s would cut agents off in the middle of a turn.
        "S6_KILL_GRACETIME": str(DRAIN_SECONDS * 1000),
    }
    return sorted(f"{name}={value}" for name, value in entries.items() if value)


def labels(family: Family, settings: Settings, *, start: bool) -> dict[str, str]:
    """Return the container's labels, the ownership contract."""
    return {
        **naming.family_labels(settings.stack, family.name, family.id),
        naming.LABEL_CREDENTIALS: credentials_of(family, settings),
        naming.LABEL_START: naming.AWAKE if start else naming.ASLEEP,
    }


def healthcheck(health: Health) -> dict[str, Any]:
    """Return Docker's healthcheck. Its times do not depend on `rollout`: tuning a roll replaces no container."""
    check: dict[str, Any] = {
        "tests": ["CMD", "/bin/sh", f"{FLEET}/health.sh"],
        "interval": go_duration(health.interval),
        "timeout": go_duration(HEALTHCHECK_TIMEOUT),
        "start_period": go_duration(60),
        "retries": 3,
    }
    if health.start_interval is not None:
        check["start_interval"] = go_duration(health.start_interval)
    return check


def canonical_cpus(cpus: float) -> str:
    """Return a number of processors as the provider prints Docker's `NanoCpus`: `0.5`, `2.0`, but `10.`.

    It keeps one decimal where nine digits are zeros, and otherwise strips all zeros at the end.
    """
    digits = f"{cpus:.9f}"
    return f"{cpus:.1f}" if digits.count("0") == 9 else digits.rstrip("0")  # noqa: PLR2004 - the provider's own rule


def container_inputs(family: Family, settings: Settings, *, start: bool) -> dict[str, Any]:
    """Return the inputs of `docker.Container` but uploads, volumes and network (see `ContainerSpec.inputs`)."""
    memory = family.resources.memory
    return {
        "name": naming.container_name(family.id),
        "image": image_of(family, settings),
        "entrypoints": ["/bin/sh", f"{FLEET}/boot.sh"],
        "envs": environment(family, settings),
        "labels": [{"label": k, "value": v} for k, v in sorted(labels(family, settings, start=start).items())],
        "ports": [{"internal": naming.API_PORT, "ip": "127.0.0.1", "protocol": "tcp"}],
        "healthcheck": healthcheck(settings.health),
        "capabilities": {"adds": list(CAPABILITIES), "drops": ["ALL"]},
        "security_opts": ["no-new-privileges:true"],
        "memory": memory,
        "memory_swap": memory,
        "cpus": canonical_cpus(family.resources.cpus),
        "log_driver": "json-file",
        "log_opts": {"max-file": "3", "max-size": "10m"},
        "restart": "unless-stopped",
        "must_run": False,
        "start": start,
        "wait": start,
        "wait_timeout": settings.rollout.health_timeout,
        "stop_timeout": 30,
        "destroy_grace_seconds": settings.rollout.stop_grace,
    }


def component_inputs(family: Family, settings: Settings, *, config: str, identity: str) -> dict[str, Any]:
    """Return the inputs of a family's component: what a preview shows of its container.

    `config` is redacted, the credentials are a digest. Every field of `resources` is among the limits.
    """
    resources = family.resources.model_dump(exclude_none=True)
    return {
        "family": family.name,
        "image": image_of(family, settings),
        "hermesLine": settings.hermes_line,
        "config": config,
        "identity": identity,
        "toolsets": list(family.toolsets),
        "limits": {"memoryMiB": resources.pop("memory"), **resources},
        "env": dict(family.env),
        "gateway": {"dashboard": family.dashboard, "supervise": family.supervise},
        "credentials": credentials_of(family, settings),
        "plugins": {"directory": settings.plugins_dir, "version": settings.plugins_version},
        "state": family.state,
    }


def go_duration(seconds: int) -> str:
    """Return seconds as Go's `time.Duration.String` prints them: `45s`, `1m30s`, `1h0m0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"
