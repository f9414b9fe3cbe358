"""Reads a stack's config from its file, without Pulumi and without decrypting secrets.

Every secret reads as `[secret]`, which is enough to render a family's files.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fleet.errors import FleetError, Problem
from fleet.naming import stack_label
from fleet.redaction import REDACTED
from fleet.settings import (
    DEFAULT_REGISTRY,
    KEYS,
    MASTER_KEY_BYTES,
    NAMESPACE,
    SECRET_KEYS,
    Llm,
    Settings,
    load_settings,
)

DIRECTORY = "stacks"


class _Loader(yaml.SafeLoader):
    """Reads dates as strings: config values are strings or JSON, which has no dates."""


_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))


def stack_path(root: Path, stack: str) -> Path:
    """Return the file of a stack's config; `root` is the directory of Pulumi.yaml."""
    return root / DIRECTORY / f"Pulumi.{stack}.yaml"


def read_settings(root: Path, stack: str, file: Path | None = None) -> Settings:
    """Return a stack's settings with `[secret]` for every secret.

    `file` is read in place of the stack's own. Raises FleetError for an unreadable file or an invalid config.
    """
    found = _read(file or stack_path(root, stack))
    values = {key: _string(key, value) for key in KEYS if (value := found.get(f"{NAMESPACE}:{key}")) is not None}
    return load_settings(values, stack=stack, root=root)


def registry_of(root: Path, stack: str, file: Path | None = None) -> Path | None:
    """Return the path of a stack's registry, or None where the stack has no config.

    `file` is read in place of the stack's own. Raises FleetError for an unreadable file.
    """
    path = file or stack_path(root, stack)
    if not path.exists():
        return None
    return root / str(_read(path).get(f"{NAMESPACE}:registry") or DEFAULT_REGISTRY)


def placeholder_settings(root: Path, stack: str) -> Settings:
    """Return settings that render a family's files before a stack has a config."""
    return Settings(
        stack=stack,
        image="IMAGE",
        hermes_line="0.19",
        llm=Llm("openrouter", "MODEL"),
        llm_api_key=REDACTED,
        master_key=_secret("masterKey"),
        registry=root / DEFAULT_REGISTRY,
        plugins_dir=str(root / "plugins"),
    )


def reaper_env(settings: Settings) -> dict[str, str]:
    """Return the reaper's settings that follow from a stack's config, as its environment names them.

    Times are in seconds. The stack's config is their only source, so that a reaper waits as long as a roll does.
    """
    values = {
        "STACK": stack_label(settings.stack),
        "REGISTRY": settings.registry,
        "WAVE_SIZE": settings.rollout.wave_size,
        "HEALTH_TIMEOUT": settings.rollout.health_timeout,
        "STOP_GRACE": settings.rollout.stop_grace,
    }
    return {f"HERMES_FLEET_{name}": str(value) for name, value in values.items()}


def _read(path: Path) -> Mapping[str, Any]:
    """Return the config in a stack's file. Raises FleetError for an unreadable file."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FleetError([Problem(str(path), f"cannot be read: {error}")]) from None
    config = content.get("config") if isinstance(content, dict) else None
    return config if isinstance(config, dict) else {}


def _string(key: str, value: Any) -> str:  # noqa: ANN401 - any YAML
    """Return a config value as Pulumi hands it out: a string, JSON for an object."""
    redacted = _redacted(key, value, secret=key in SECRET_KEYS)
    return redacted if isinstance(redacted, str) else json.dumps(redacted)


def _redacted(key: str, value: Any, *, secret: bool) -> Any:  # noqa: ANN401 - any YAML
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            return _secret(key)
        return {str(name): _redacted(str(name), member, secret=secret) for name, member in value.items()}
    if isinstance(value, list):
        return [_redacted(key, member, secret=secret) for member in value]
    return _secret(key) if secret else value


def _secret(key: str) -> str:
    """Return the placeholder of a secret; a master key has a minimum length."""
    return REDACTED * (MASTER_KEY_BYTES // len(REDACTED)) if key.startswith("masterKey") else REDACTED
