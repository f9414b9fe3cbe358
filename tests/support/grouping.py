"""Keeps tests that share a fleet of real agents on one worker, when tests run side by side."""

import pytest

SHARED = ("provider", "agents")


def group_of(item: pytest.Item) -> str | None:
    """Return the group of a test: its file and what its shared fleet was made from. None: it may run anywhere."""
    if "e2e" not in item.path.parts:
        return None
    params = getattr(getattr(item, "callspec", None), "params", {})
    made_from = [str(getattr(params[name], "name", params[name])) for name in SHARED if name in params]
    return "-".join([item.path.stem, *made_from])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every such test for pytest-xdist."""
    for item in items:
        group = group_of(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
