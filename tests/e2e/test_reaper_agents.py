"""The reaper beside real agents of both Hermes lines."""

from reaper.engine import DockerEngine
from tests.support.agents import AgentFleet


def test_every_signal_of_an_idle_agent_can_be_read(agents: AgentFleet) -> None:
    """The probe reads all it is asked for, finds an idle agent idle, and no job scheduled."""
    engine = DockerEngine()
    try:
        read = engine.activity(engine.list()[agents.resource("birch")].id)
    finally:
        engine.close()
    assert dict(read.unread) == {}
    assert (read.human, read.cron_next) == (None, None)
    assert (read.children, read.active_agents, read.cron_running, read.inbound) == (0, 0, 0, 0)
