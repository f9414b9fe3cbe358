"""One family's agent, the real one: booted, seeded, reachable, and its memory kept."""

import csv
import io
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.support.fleet.agents import AgentFleet, execute

AGENT = 10000


def test_the_installed_agent_is_the_published_one(agents: AgentFleet) -> None:
    """Every file of the hermes-agent that runs is the one its PyPI RECORD lists, by hash."""
    script = (
        "import base64,csv,hashlib,importlib.metadata as m,sys\n"
        "d=m.distribution('hermes-agent')\n"
        "rows=[r for r in csv.reader(d.read_text('RECORD').splitlines()) if r[1]]\n"
        "bad=[r[0] for r in rows if base64.urlsafe_b64encode(hashlib.new(r[1].split('=',1)[0],"
        "d.locate_file(r[0]).read_bytes()).digest()).rstrip(b'=').decode()!=r[1].split('=',1)[1]]\n"
        "csv.writer(sys.stdout).writerow([d.version,len(rows),*bad])\n"
    )
    code, output = execute(agents.container("ash"), "/opt/hermes/.venv/bin/python", "-c", script)
    assert code == 0, output
    version, files, *changed = next(csv.reader(io.StringIO(output)))
    assert version.startswith(agents.hermes_line)
    assert int(files) > 100
    assert changed == []


def test_a_chat_is_answered_and_stored(agents: AgentFleet) -> None:
    """A message goes through the agent to the LLM provider with the fleet's key, and both sides are remembered."""
    agents.llm.forget()
    agents.llm.reply = "The answer is 42."
    assert "42" in agents.chat("ash", "What is the answer?")
    assert agents.llm.keys_seen[-1] == agents.llm_key
    stored = agents.messages("ash")
    assert any(role == "user" and "What is the answer?" in (text or "") for role, text in stored)
    assert any(role == "assistant" and "42" in (text or "") for role, text in stored)


@pytest.mark.parametrize(
    ("file", "mode"), [("config.yaml", 0o640), (".env", 0o600), ("memories/MEMORY.md", 0o600), ("memories", None)]
)
def test_seeded_files_belong_to_the_agent(agents: AgentFleet, file: str, mode: int | None) -> None:
    """Seeded files belong to the agent, and no other user can read them."""
    stat = (agents.data("ash") / file).stat()
    assert (stat.st_uid, stat.st_gid) == (AGENT, AGENT)
    if mode is not None:
        assert stat.st_mode & 0o777 == mode


def test_the_managed_config_is_what_the_agent_runs_on(agents: AgentFleet) -> None:
    """config.yaml carries the line's version, the API server under `extra`, the plugin and the LLM, and no secret."""
    text = (agents.data("ash") / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert config["_config_version"] == {"0.15": 24, "0.19": 33}[agents.hermes_line]
    assert config["platforms"]["api_server"]["extra"]["port"] == 8642
    assert "sudo_chat" in config["plugins"]["enabled"]
    assert config["timezone"] == "Europe/Berlin"
    assert agents.llm_key not in text
    assert not list(agents.data("ash").glob("*.bak*")), "Hermes migrated, and so backed up, a managed file"


def test_only_the_familys_own_key_opens_its_api(agents: AgentFleet) -> None:
    """The derived key is accepted; a wrong one, another family's and none are not."""
    assert agents.call("ash", "/v1/models")[0] == 200
    for wrong in ("wrong", agents.key("birch"), ""):
        assert agents.call("ash", "/v1/models", key=wrong)[0] == 401


def test_the_managed_key_wins_over_lines_of_the_family(agents: AgentFleet) -> None:
    """An own, an empty or a foreign API_SERVER_KEY in `.env` before boot does not lock the fleet out."""
    lines = "API_SERVER_KEY=my-own-key-of-long-ago\nAPI_SERVER_KEY=\nexport API_SERVER_KEY = 'x'\n"
    env = agents.data("birch") / ".env"
    env.write_text(f"{lines}{env.read_text()}{lines}FAMILY_OWN=kept\n")
    agents.restart("birch")
    assert agents.call("birch", "/v1/models")[0] == 200
    assert agents.call("birch", "/v1/models", key="my-own-key-of-long-ago")[0] == 401
    kept = env.read_text()
    assert "FAMILY_OWN=kept" in kept
    assert kept.count("API_SERVER_KEY") == 1


def test_the_plugin_is_loaded_and_cannot_be_written(agents: AgentFleet) -> None:
    """The agent runs the sample plugin from a mount that neither it nor root in its container can change."""
    container = agents.container("ash")
    for user in ("root", str(AGENT)):
        code, said = execute(container, "touch", "/opt/data/plugins/planted", user=user)
        assert code != 0
        assert "Read-only" in said
    state = agents.call("ash", "/health/detailed")[1]
    assert state["platforms"]["sudo_chat"]["state"] == "connected"


def test_what_the_agent_put_on_the_search_path_is_not_run_by_root(agents: AgentFleet) -> None:
    """The image searches the data directory before its own, but its health check does not."""
    planted = agents.data("ash") / ".local" / "bin" / "curl"
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o755)
    for path in (planted, planted.parent, planted.parent.parent):
        os.chown(path, AGENT, AGENT)
    try:
        assert execute(agents.container("ash"), "curl") == (0, "planted\n")
        code, said = execute(agents.container("ash"), "/bin/sh", "/opt/fleet/health.sh")
        assert (code, json.loads(said)["status"]) == (0, "ok")
    finally:
        planted.unlink()


def test_neighbours_cannot_reach_each_other(agents: AgentFleet) -> None:
    """From inside one family's container another's port answers neither by address nor by name; its own does."""
    birch = agents.container("birch")
    network = next(iter(birch.attrs["NetworkSettings"]["Networks"].values()))
    for host in (network["IPAddress"], birch.name):
        code, said = execute(agents.container("ash"), "curl", "-sS", "-m", "3", f"http://{host}:8642/health")
        assert code in {6, 7, 28}, said
    code, said = execute(agents.container("ash"), "curl", "-sS", "-m", "3", "http://127.0.0.1:8642/health")
    assert code == 0, said


def _capabilities(container_pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{container_pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


def test_capabilities_are_exactly_those_declared(agents: AgentFleet) -> None:
    """PID 1 is bounded by the six declared capabilities, the agent itself runs with none and gains no new ones."""
    container = agents.container("ash")
    declared = sum(1 << bit for bit in (0, 1, 3, 5, 6, 7))  # CHOWN DAC_OVERRIDE FOWNER KILL SETGID SETUID
    first = _capabilities(container.attrs["State"]["Pid"])
    assert (first["CapBnd"], first["CapPrm"], first["CapEff"]) == (declared, declared, declared)
    agent_pids = [int(row[1]) for row in container.top(ps_args="-eo uid,pid,args")["Processes"] if row[0] == str(AGENT)]
    assert agent_pids
    for pid in agent_pids:
        own = _capabilities(pid)
        assert (own["CapPrm"], own["CapEff"], own["CapAmb"]) == (0, 0, 0)
        assert own["CapBnd"] == declared
        assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()


def test_a_stop_lets_the_agent_drain(agents: AgentFleet) -> None:
    """`docker stop` ends the agent in order: a chat in flight is answered and stored, nothing is killed."""
    agents.chat("birch", "Are you there?")  # the first turn after a boot takes longer than a drain may
    agents.llm.reply, agents.llm.delay = "Slow but sure.", 2.0
    before = len(agents.messages("birch"))
    try:
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(agents.chat, "birch", "Take your time.")
            time.sleep(1)
            agents.container("birch").stop(timeout=30)
            assert agents.container("birch").attrs["State"]["ExitCode"] != 137, "Docker had to kill it"
            assert "Slow but sure." in answer.result()
    finally:
        agents.llm.delay = 0.0
    assert len(agents.messages("birch")) >= before + 2
    assert (agents.data("birch") / ".clean_shutdown").exists(), "the agent did not drain"
    agents.start("birch")
