"""Keeps tests that share a fleet or an image on one worker: each worker would make its own."""

from typing import Any

import pytest

# Fixtures of module or package scope, and one that uses the whole machine. PARAMS: one instance for each value.
SHARED = {
    *(
        "agents",
        "changed",
        "declared",
        "image",
        "made",
        "name",
        "new_fleet",
        "pair",
        "plugins",
        "proxied",
        "settled",
        "shown",
    ),
    *("slept", "slow", "race_fleet", "trio"),
}
FOLDERS = {"agents"}
PARAMS = ("provider", "agents")


def group_of(item: Any) -> str | None:
    """Return the group of a test: its file or folder and its parameters. None: it may run on any worker."""
    if not SHARED & set(getattr(item, "fixturenames", ())):
        return None
    params = getattr(getattr(item, "callspec", None), "params", {})
    made_from = [str(getattr(params[name], "name", params[name])) for name in PARAMS if name in params]
    folder = item.path.parent.name
    return "-".join([folder if folder in FOLDERS else item.path.stem, *made_from])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the groups before pytest-xdist reads the marks."""
    for item in items:
        group = group_of(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
