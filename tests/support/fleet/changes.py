"""One change of a family for each way to change its container; a new field of the registry gets a line here.

`tests/engine/test_inputs.py` makes each of them and counts what is replaced;
`tests/unit/components/test_fleet.py` makes all of them at once and holds what is declared against the offline provider.
"""

from typing import Any

CHANGES: dict[str, dict[str, Any]] = {
    "memory": {"resources": {"memory": "300m"}},
    "cpus": {"resources": {"cpus": 1.5}},
    "whole-cpus": {"resources": {"cpus": 2}},
    "image": {},  # another one, as the test builds it
    "env": {"env": {"GREETING": "hello"}},
    "config": {"config": {"display": {"compact": True}}},
    "toolsets": {"toolsets": ["memory", "todo"]},
    "timezone": {"timezone": "Asia/Tokyo"},
    "members": {"members": [{"name": "Ann", "role": "parent"}]},
    "dashboard": {"dashboard": True},
    "supervise": {"supervise": False},
}
