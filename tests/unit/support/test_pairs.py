"""The pairing of real agents with docker providers."""

from pathlib import Path

import pytest

from tests.support.fleet.agents import pairs
from tests.support.pulumi.pulumi_stack import Provider

OFFICIAL, OFFLINE = Provider("official", Path("a")), Provider("offline", Path("b"))


@pytest.mark.parametrize(
    ("providers", "names"),
    [
        ([OFFICIAL, OFFLINE], ["official-0.19", "offline-0.15"]),
        ([OFFLINE, OFFICIAL], ["offline-0.19", "official-0.15"]),
        ([OFFLINE], ["offline-0.19", "offline-0.15"]),
        ([], ["none-0.19", "none-0.15"]),
    ],
)
def test_every_line_and_every_provider_is_tested(providers: list[Provider], names: list[str]) -> None:
    """Each line runs, on the providers in turn."""
    assert [pair.name for pair in pairs(("0.19", "0.15"), providers)] == names
