"""Fleets to measure: registries of any size, the config of their stack, and what an equal bare program declares."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import yaml

from fleet import naming
from fleet.container import ContainerSpec, files, render_all
from fleet.registry import load_registry
from fleet.settings import load_settings

ROOT = Path(__file__).parent.parent
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney")
LLM_KEY = "sk-benchmark-0001"
MASTER_KEY = "be9c" * 16


@dataclass(frozen=True)
class Bench:
    """One fleet to measure: how many families, how many of them awake, and the image of their containers."""

    stack: str
    families: int
    awake: int
    image: str
    llm_key: str = LLM_KEY


def family_id(stack: str, index: int) -> UUID:
    """Return the id of a family: the same in every run, another in every stack."""
    return uuid5(NAMESPACE_DNS, f"{index}.{stack}.hermes-fleet.bench")


def registry_text(bench: Bench) -> str:
    """Return a registry in which families differ as real ones do."""
    families = [
        {
            "name": f"family-{index}",
            "id": str(family_id(bench.stack, index)),
            "display_name": f"The Family Number {index}",
            "timezone": ZONES[index % len(ZONES)],
            "members": [{"name": f"Alex {index}", "role": "parent"}, {"name": f"Kim {index}", "role": "child"}],
            "account": {"email": f"family{index}@example.org"},
            **({"canary": True} if index < bench.awake else {}),
        }
        for index in range(bench.families)
    ]
    return yaml.safe_dump({"defaults": {"language": "en"}, "families": families}, sort_keys=False)


def write_registry(bench: Bench, folder: Path) -> Path:
    """Write the registry into a folder and return its file."""
    registry = folder / "families.yaml"
    registry.write_text(registry_text(bench), encoding="utf-8")
    return registry


def config(bench: Bench, registry: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the stack's config, plain and secret."""
    plain = {
        "image": bench.image,
        "hermesLine": "0.19",
        "llm": {"provider": "custom", "model": "benchmark", "base_url": "http://127.0.0.1:9/v1"},
        "registry": str(registry),
        "pluginsDir": str(ROOT / "plugins"),
        "newFamilies": "asleep",
        "rollout": {"health_timeout": 60, "preflight": False},
        "health": {"interval": 1},
    }
    return plain, {"llmApiKey": bench.llm_key, "masterKey": MASTER_KEY}


def bare_fleet(bench: Bench, registry: Path) -> dict[str, Any]:
    """Return as plain data what the fleet declares, for a program that only hands it to the engine."""
    plain, secret = config(bench, registry)
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (plain | secret).items()}
    settings = load_settings(values, stack=bench.stack, root=ROOT)
    families = load_registry(registry).families
    specs = render_all(families, settings)
    network = naming.network_name(bench.stack)
    return {
        "network": {
            "name": network,
            "driver": "bridge",
            "options": {"com.docker.network.bridge.enable_icc": "false"},
            "labels": [{"label": naming.LABEL_STACK, "value": bench.stack}],
        },
        "scripts": [
            {
                "file": each.file,
                "source": str(Path(each.source or "").resolve()),
                "source_hash": each.digest,
                "permissions": each.mode,
            }
            for each in files.scripts()
        ],
        "families": [_bare_family(spec, bench) for spec in specs.values()],
    }


def _bare_family(spec: ContainerSpec, bench: Bench) -> dict[str, Any]:
    family, settings = spec.family, spec.settings
    start = int(family.name.rpartition("-")[2]) < bench.awake
    labels = naming.family_labels(settings.stack, family.name, family.id)
    return {
        "name": naming.container_name(family.id),
        "volume": naming.volume_name(family.id),
        "labels": [{"label": label, "value": value} for label, value in sorted(labels.items())],
        "component": spec.shown,
        "container": spec.inputs(start=start),
        "uploads": [[each.file, each.content, each.mode] for each in spec.uploads],
        "plugins": settings.plugins_dir,
    }
