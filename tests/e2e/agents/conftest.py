"""Two real agents for all tests in this folder: a boot of theirs costs more than any test."""

from collections.abc import Iterator

import pytest

from tests.support.fleet.agents import LINES, AgentFleet, NewAgents, pairs
from tests.support.pulumi.providers import chosen_providers


@pytest.fixture(scope="package", params=pairs(LINES, chosen_providers()), ids=lambda pair: pair.name)
def agents(request: pytest.FixtureRequest, new_agents: NewAgents) -> Iterator[AgentFleet]:
    """Yield ash and birch, up and healthy, for each Hermes line; each test leaves them so."""
    with new_agents("agents", request.param, "ash", "birch") as fleet:
        yield fleet
