"""Reads a stack's config from its file, without Pulumi and without its secrets.

Encrypted values stay encrypted: `[secret]` stands in their place, which is enough to show what a family is given.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fleet.errors import FleetError, Problem
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
    """Reads a date as the text that stands there: config is text, or JSON, and JSON knows no dates."""


def _as_written(_: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_written)


def stack_path(root: Path, stack: str) -> Path:
    """Return where the config of a stack stands; `root` is the directory of Pulumi.yaml."""
    return root / DIRECTORY / f"Pulumi.{stack}.yaml"


def read_settings(root: Path, stack: str) -> Settings:
    """Return a stack's settings with `[secret]` for every secret. Raises FleetError for a file that will not do."""
    found = _read(stack_path(root, stack))
    values = {key: _text(key, found.get(f"{NAMESPACE}:{key}")) for key in KEYS}
    return load_settings(values, stack=stack, root=root)


def registry_of(root: Path, stack: str, file: Path | None = None) -> Path | None:
    """Return the registry of a stack by its config, which may stand in another file; None where there is no config.

    Raises FleetError for a file that will not do.
    """
    path = file or stack_path(root, stack)
    if not path.exists():
        return None
    return root / str(_read(path).get(f"{NAMESPACE}:registry") or DEFAULT_REGISTRY)


def placeholder_settings(root: Path, stack: str) -> Settings:
    """Return settings to show a rendering with where a stack has no config yet."""
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


def _read(path: Path) -> Mapping[str, Any]:
    """Return the config in a stack's file. Raises FleetError for a file that will not do."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FleetError([Problem(str(path), f"cannot be read: {error}")]) from None
    config = content.get("config") if isinstance(content, dict) else None
    return config if isinstance(config, dict) else {}


def _text(key: str, value: Any) -> str | None:  # noqa: ANN401 - any YAML
    """Return a config value as Pulumi hands it out: text, or JSON for an object."""
    if value is None:
        return None
    hidden = _hidden(key, value, secret=key in SECRET_KEYS)
    return hidden if isinstance(hidden, str) else json.dumps(hidden)


def _hidden(key: str, value: Any, *, secret: bool) -> Any:  # noqa: ANN401 - any YAML
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            return _secret(key)
        return {str(name): _hidden(str(name), member, secret=secret) for name, member in value.items()}
    if isinstance(value, list):
        return [_hidden(key, member, secret=secret) for member in value]
    return _secret(key) if secret else value


def _secret(key: str) -> str:
    """Return what stands for a secret; a master key has a least length."""
    return REDACTED * (MASTER_KEY_BYTES // len(REDACTED)) if key.startswith("masterKey") else REDACTED
