"""A family's memory outlives restarts, rolls, removal and return; what the fleet manages is put right at every boot."""

import yaml

from tests.support.fleet.agents import AgentFleet, execute

AGENT = 10000
ENTRY = "\n§\nGrandmother's birthday is on the third of May."


def remember(agents: AgentFleet, name: str) -> None:
    """Leave in a family's data what an agent and its family leave there."""
    data = agents.data(name)
    memory = data / "memories" / "MEMORY.md"
    memory.write_text(memory.read_text() + ENTRY)
    env = data / ".env"
    env.write_text(env.read_text() + "FAMILY_TOKEN=theirs\n")
    skill = data / "skills" / "bread" / "SKILL.md"
    skill.parent.mkdir(parents=True, exist_ok=True)
    skill.write_text("---\nname: bread\ndescription: How we bake.\n---\nSlowly.\n")


def remembered(agents: AgentFleet, name: str, session: str, said: str) -> None:
    """Check that all of it is still there, through the agent's own API where it has one."""
    data = agents.data(name)
    memory = (data / "memories" / "MEMORY.md").read_text()
    assert memory.count(ENTRY) == 1
    assert memory.count("<!-- hermes-fleet:identity -->") == 1
    assert "FAMILY_TOKEN=theirs" in (data / ".env").read_text()
    assert (data / "skills" / "bread" / "SKILL.md").read_text().endswith("Slowly.\n")
    status, found = agents.call(name, "/api/sessions")
    assert status == 200
    assert session in [each["id"] for each in found["data"]]
    status, found = agents.call(name, f"/api/sessions/{session}/messages")
    assert status == 200
    assert said in str(found)


def test_memory_survives_whatever_happens_to_the_container(agents: AgentFleet) -> None:
    """Restart, roll, removal and return: the same session and messages, entries, `.env` lines and skills."""
    agents.llm.reply = "I will remember."
    said = "Our cat is called Schnurr."
    agents.chat("birch", said)
    session = max(agents.call("birch", "/api/sessions")[1]["data"], key=lambda each: each["started_at"])["id"]
    remember(agents, "birch")

    agents.restart("birch")
    remembered(agents, "birch", session, said)

    before = agents.ids()
    agents.entry("birch")["display_name"] = 'The "Birches": [x]'
    agents.write()
    agents.up()
    agents.connect("birch")
    assert agents.ids()["ash"] == before["ash"]
    assert agents.ids()["birch"] != before["birch"]
    remembered(agents, "birch", session, said)
    assert 'The \\"Birches\\": [x]' in (agents.data("birch") / "memories" / "MEMORY.md").read_text()

    gone = agents.entry("birch")
    agents.families.remove(gone)
    agents.write()
    agents.up()
    agents.families.append(gone)
    agents.write()
    agents.up()
    assert agents.state("birch") == "created"
    agents.start("birch")
    remembered(agents, "birch", session, said)


def test_edits_to_the_managed_config_are_gone_after_a_restart(agents: AgentFleet) -> None:
    """The fleet is opinionated about config.yaml: what a user changes there lasts until the next boot."""
    config = agents.data("birch") / "config.yaml"
    managed = config.read_text()
    config.write_text("model: {default: mine}\n")
    agents.restart("birch")
    assert config.read_text() == managed
    assert yaml.safe_load(managed)["model"]["default"] == "test-model"


def test_profiles_keep_their_state_and_get_the_managed_keys(agents: AgentFleet) -> None:
    """A profile's own files stay; its `.env` gets the fleet's LLM key, and its own lines stay in it."""
    container = agents.container("birch")
    hermes = "/opt/hermes/.venv/bin/hermes"
    code, said = execute(container, "env", "HOME=/opt/data", hermes, "profile", "create", "coder", user=str(AGENT))
    assert code == 0, said
    profile = agents.data("birch") / "profiles" / "coder"
    (profile / ".env").write_text("MINE=1\nCUSTOM_LLM_API_KEY=old\n")
    (profile / "SOUL.md").write_text("I am the coder.\n")
    agents.restart("birch")
    env = (profile / ".env").read_text()
    assert "MINE=1" in env
    assert "CUSTOM_LLM_API_KEY=old" not in env
    assert agents.llm_key in env
    assert (profile / "SOUL.md").read_text() == "I am the coder.\n"
    stat = (profile / ".env").stat()
    assert (stat.st_uid, stat.st_mode & 0o777) == (AGENT, 0o600)


def test_sleep_and_wake_are_no_change(agents: AgentFleet) -> None:
    """An up and a preview show no change after a family fell asleep and woke, and after the host was looked at anew."""
    agents.container("ash").stop(timeout=30)
    assert agents.silent(refreshed=True)
    agents.start("ash")
    assert agents.up("--refresh").changed == {}
