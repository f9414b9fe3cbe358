"""The s6 era of upstream's image: the same boot script, supervision by s6, profiles whose gateways come back."""

import os
import time
from collections.abc import Iterator

import pytest

from tests.support.agents import AgentFleet, NewAgents, execute, pairs
from tests.support.providers import chosen_providers

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


def service_is_up(agents: AgentFleet, profile: str) -> bool:
    """Tell whether s6 runs the gateway of a profile."""
    code, said = execute(agents.container("ash"), "/command/s6-svstat", f"/run/service/gateway-{profile}")
    return code == 0 and said.startswith("up")


def test_the_agent_is_supervised_and_answers(agents: AgentFleet) -> None:
    """PID 1 is s6, a chat is answered, and the capabilities it was declared with are enough."""
    assert execute(agents.container("ash"), "cat", "/proc/1/comm")[1].strip() == "s6-svscan"
    agents.llm.reply = "Under supervision."
    assert "Under supervision." in agents.chat("ash", "Hello?")
    assert agents.silent()


def test_a_profiles_gateway_comes_back_after_a_restart(agents: AgentFleet) -> None:
    """A gateway that ran when the container stopped runs again; one that did not stays down. State is kept."""
    container = agents.container("ash")
    for profile in ("coder", "idler"):
        code, said = execute(container, "env", "HOME=/opt/data", HERMES, "profile", "create", profile, user=AGENT)
        assert code == 0, said
    folder = agents.data("ash") / "profiles"
    for profile, state in (("coder", "running"), ("idler", "stopped")):
        file = folder / profile / "gateway_state.json"
        file.write_text(f'{{"gateway_state": "{state}"}}')
        ended = time.time() - (3600 if state == "stopped" else 0)
        os.utime(file, (ended, ended))
    agents.restart("ash")
    deadline = time.monotonic() + 30
    while not service_is_up(agents, "coder"):
        assert time.monotonic() < deadline, agents.container("ash").logs().decode()
        time.sleep(0.5)
    assert not service_is_up(agents, "idler")
    env = (folder / "coder" / ".env").read_text()
    assert agents.llm_key in env
    assert "API_SERVER_KEY" not in env, "the profile's gateway would take the port of the family's own"
    assert agents.call("ash", "/v1/models")[0] == 200
