"""Durations are written as Docker reads them back."""

import pytest

from fleet.container.inputs import go_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (5, "5s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (3725, "1h2m5s"), (90_000, "25h0m0s")],
)
def test_go_form(seconds: int, text: str) -> None:
    """Minutes and hours appear as soon as there are any, as Go prints them."""
    assert go_duration(seconds) == text
