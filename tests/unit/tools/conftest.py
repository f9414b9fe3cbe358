"""A machine of its own for each test of a set-up script."""

from pathlib import Path

import pytest

from tests.support.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a Debian machine with nothing on it."""
    return Machine(tmp_path)
