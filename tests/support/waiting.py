"""Waits for what happens elsewhere."""

import time
from collections.abc import Callable
from typing import Any


def until(done: Callable[[], Any], seconds: float, why: Callable[[], object] = lambda: "") -> None:
    """Wait until something is so; a deadline, not a measurement."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)
