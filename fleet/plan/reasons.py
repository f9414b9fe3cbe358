"""Why a family is rolled, told from what its component was given before and is given now."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from fleet.plan.model import Reason

Inputs = Mapping[str, Any]

# What a reviewer calls the inputs of a family's component, in the order in which they are told. One that is not here is
# told last, by its own name.
_LABELS = {
    "credentials": "credentials",
    "image": "image",
    "hermesLine": "Hermes line",
    "limits": "limits",
    "env": ".env entries",
    "gateway": "gateway",
    "plugins": "plugins",
    "state": "state",
    "family": "name",
    "config": "config",
    "identity": "identity",
}
# The lines of the config tell it.
_TOLD_BY_ANOTHER = {"toolsets"}


def reasons_of(old: Inputs, new: Inputs) -> tuple[Reason, ...]:
    """Return what differs between two sets of a component's inputs. Credentials are named, never shown."""
    others = (old.keys() | new.keys()) - _LABELS.keys() - _TOLD_BY_ANOTHER
    return tuple(
        Reason(_LABELS.get(key, key), "" if key == "credentials" else _detail(old.get(key), new.get(key)))
        for key in (*_LABELS, *sorted(others))
        if old.get(key) != new.get(key)
    )


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


def _detail(old: object, new: object) -> str:
    """Return both values, or of texts of many lines those that differ."""
    if any(isinstance(value, str) and "\n" in value for value in (old, new)):
        return _lines(str(old or ""), str(new or ""))
    return f"{_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _lines(old: str, new: str) -> str:
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in diff if not line.startswith(("---", "+++", "@@")))
