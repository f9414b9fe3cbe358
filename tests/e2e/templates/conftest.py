"""A scratch container for each shell that images bring along."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fleet.boot import SHELLS, Boot


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, as_root: None) -> str:  # noqa: ARG001 - boot.sh gives files to the agent
    """Each shell that boot.sh must run under."""
    found: str = request.param
    return found


@pytest.fixture
def container(tmp_path: Path, shell: str) -> Boot:
    """Return a container of the tini era that never booted."""
    return Boot(tmp_path / "container", shell)


@pytest.fixture
def containers(tmp_path: Path, shell: str) -> Callable[[], Boot]:
    """Return a factory of fresh containers for tests that boot many."""
    count = iter(range(1_000_000))
    return lambda: Boot(tmp_path / f"container-{next(count)}", shell)
