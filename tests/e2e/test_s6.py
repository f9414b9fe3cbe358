"""The s6 era of upstream's image: the same boot script, supervision by s6, profiles whose gateways come back."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet.agents import AgentFleet, NewAgents, execute, pairs
from tests.support.pulumi.providers import chosen_providers
from tests.support.waiting import until

IMAGES = {"0.19": "hermes-fleet/hermes-agent:0.19.0-s6", "0.15": "hermes-fleet/hermes-agent:0.15.1-s6"}
HERMES = "/opt/hermes/.venv/bin/hermes"
AGENT = "10000"
# The other way round than with tini: so each provider meets both lines.
PAIRS = pairs(IMAGES, chosen_providers()[::-1])


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"{pair.name}-s6")
def agents(request: pytest.FixtureRequest, new_agents: NewAgents) -> Iterator[AgentFleet]:
    """Yield a fleet of one real agent under s6, for each Hermes line."""
    with new_agents("s6", request.param, "ash", image=IMAGES[request.param.line]) as fleet:
        yield fleet


def hermes(agents: AgentFleet, *words: str) -> None:
    """Run Hermes' own command inside ash's container, as the agent's user."""
    code, said = execute(agents.container("ash"), "env", "HOME=/opt/data", HERMES, *words, user=AGENT)
    assert code == 0, said


def service_is_up(agents: AgentFleet, profile: str) -> bool:
    """Tell whether s6 runs the gateway of a profile."""
    code, said = execute(agents.container("ash"), "/command/s6-svstat", f"/run/service/gateway-{profile}")
    return code == 0 and said.startswith("up")


def gateway_state(agents: AgentFleet, profile: str) -> str:
    """Return what the gateway of a profile noted of itself last."""
    return str(noted(agents, profile).get("gateway_state"))


def wanted_state(agents: AgentFleet, profile: str) -> str:
    """Return what the gateway of a profile was told to be last.

    Hermes 0.19 notes it apart: its `stop` leaves a note for the gateway and then sends a signal, and a gateway that has
    read the note before the signal comes takes that for another's, and notes that it runs.
    """
    return str(noted(agents, profile).get("desired_state", gateway_state(agents, profile)))


def noted(agents: AgentFleet, profile: str) -> dict[str, Any]:
    """Return all that is noted of the gateway of a profile."""
    file = state_file(agents, profile)
    return dict(json.loads(file.read_text())) if file.exists() else {}


def state_file(agents: AgentFleet, profile: str) -> Path:
    """Return the file in which the gateway of a profile notes how it is."""
    return agents.data("ash") / "profiles" / profile / "gateway_state.json"


def test_the_agent_is_supervised_and_answers(agents: AgentFleet) -> None:
    """PID 1 is s6, a chat is answered, and the capabilities it was declared with are enough."""
    assert execute(agents.container("ash"), "cat", "/proc/1/comm")[1].strip() == "s6-svscan"
    agents.llm.reply = "Under supervision."
    assert "Under supervision." in agents.chat("ash", "Hello?")
    assert agents.silent()


def test_a_profiles_gateway_comes_back_after_a_restart(agents: AgentFleet) -> None:
    """A gateway that ran when the container stopped runs again; one that was stopped long before stays down."""
    for profile in ("coder", "idler"):
        hermes(agents, "profile", "create", profile)
        hermes(agents, "-p", profile, "gateway", "start")
    until(lambda: {gateway_state(agents, profile) for profile in ("coder", "idler")} == {"running"}, 60)
    hermes(agents, "-p", "idler", "gateway", "stop")
    until(lambda: not service_is_up(agents, "idler") and wanted_state(agents, "idler") == "stopped", 30)
    an_hour_ago = time.time() - 3600
    os.utime(state_file(agents, "idler"), (an_hour_ago, an_hour_ago))

    agents.restart("ash")

    until(lambda: service_is_up(agents, "coder"), 30, lambda: agents.container("ash").logs().decode())
    assert not service_is_up(agents, "idler")
    env = (agents.data("ash") / "profiles" / "coder" / ".env").read_text()
    assert agents.llm_key in env
    assert "API_SERVER_KEY" not in env, "the profile's gateway would take the port of the family's own"
    assert agents.call("ash", "/v1/models")[0] == 200
