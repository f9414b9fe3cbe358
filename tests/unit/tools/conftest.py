"""An isolated machine for each test of a set-up script."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.setup.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Yield a Debian machine without Docker, Pulumi and Python; the scripts that a test started end with it."""
    made = Machine(tmp_path)
    yield made
    made.close()
