"""A machine of its own for each test of a set-up script."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.setup.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Yield a Debian machine with nothing on it; what a test started there ends with it."""
    made = Machine(tmp_path)
    yield made
    made.close()
