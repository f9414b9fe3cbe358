"""Why a family is rolled, told from what its component was given before and is given now."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from fleet.plan.model import Reason

Inputs = Mapping[str, Any]

CREDENTIALS = Reason("credentials")

# Inputs of a family's component that are texts of many lines, and what a reviewer calls them.
_TEXTS = {"config": "config", "identity": "identity"}
_VALUES = {
    "image": "image",
    "hermesLine": "Hermes line",
    "limits": "limits",
    "env": ".env entries",
    "gateway": "gateway",
    "plugins": "plugins",
    "state": "state",
    "family": "name",
}


def reasons_of(old: Inputs, new: Inputs) -> tuple[Reason, ...]:
    """Return what differs between two sets of a component's inputs. Credentials are named, never shown."""
    found = [
        Reason(label, f"{_shown(old.get(key))} -> {_shown(new.get(key))}")
        for key, label in _VALUES.items()
        if old.get(key) != new.get(key)
    ]
    if old.get("credentials") != new.get("credentials"):
        found.insert(0, CREDENTIALS)
    for key, label in _TEXTS.items():
        if old.get(key) != new.get(key):
            found.append(Reason(label, _lines(str(old.get(key) or ""), str(new.get(key) or ""))))
    return tuple(found)


def container_reasons(step: Mapping[str, Any]) -> tuple[Reason, ...]:
    """Return why a container is replaced although its component stays: from the engine's own words."""
    if step["op"] == "create":
        return (Reason("its container is not in the state any more"),)
    keys = sorted({str(key) for key in [*(step.get("replaceReasons") or []), *(step.get("diffReasons") or [])]})
    if (step.get("oldState") or {}).get("initErrors"):
        return (Reason("it did not pass its gate at the last up"),)
    if "containerReadRefreshTimeoutMilliseconds" in keys:
        return (Reason("its container is gone from the host, or runs although the family is suspended"),)
    if keys == ["uploads"]:
        return (Reason("the files it boots from"),)
    return (Reason("inputs of its container", ", ".join(keys)) if keys else Reason("its container"),)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _lines(old: str, new: str) -> str:
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in diff if not line.startswith(("---", "+++", "@@")))
