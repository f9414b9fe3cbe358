"""Credentials: rolled to everyone, refused when dead, and nowhere in plain text."""

import json
import subprocess
import zlib
from pathlib import Path

from fleet.keys import api_key_for, reaper_key
from tests.support.docker.docker_events import events
from tests.support.fleet.agents import AgentFleet, execute
from tests.support.pulumi.pulumi_stack import LLM_KEY, MASTER_KEY, home_for_tests

ANOTHER_KEY = "sk-test-PLANTED-rolled-0003"
EXTRA = "planted-extra-token-0004"
GZIP = b"\x1f\x8b"


def test_a_new_key_reaches_every_family_and_wakes_none(agents: AgentFleet) -> None:
    """The awake use the new key on their next chat; a sleeper stays `Created` and uses it at its first boot."""
    agents.container("birch").stop(timeout=30)
    agents.stack.configure({}, {"llmApiKey": ANOTHER_KEY})
    agents.llm.accept(ANOTHER_KEY)
    with events(agents.client, [agents.resource("birch")]) as seen:
        agents.up()
    agents.llm_key = ANOTHER_KEY
    assert (agents.state("ash"), agents.state("birch")) == ("running", "created")
    assert "start" not in {action for _, action in seen}
    assert {action for _, action in seen} >= {"create", "destroy"}
    agents.connect("ash")
    for name in ("ash", "birch"):
        if name == "birch":
            agents.start("birch")
        agents.llm.forget()
        agents.chat(name, "Which key do you use?")
        assert set(agents.llm.keys_seen) == {ANOTHER_KEY}
    assert agents.silent()


def test_a_dead_key_is_refused_before_anyone_is_touched(agents: AgentFleet) -> None:
    """A key that the provider answers with 401 stops the roll: same containers, clear message, no secret in it."""
    before = agents.ids()
    agents.llm.accept(agents.llm_key)
    agents.stack.configure({}, {"llmApiKey": "sk-dead-key-000000"})
    run = agents.up(code=None)
    assert run.code != 0
    assert "hermes-fleet:llmApiKey" in run.text
    assert "answers 401" in run.text
    assert "no container was touched" in run.text
    assert "sk-dead-key-000000" not in run.text
    assert agents.ids() == before
    agents.stack.configure({}, {"llmApiKey": agents.llm_key})
    assert agents.up().changed == {}


def test_no_secret_is_readable_anywhere(agents: AgentFleet) -> None:
    """Planted values are searched for in state, stack file, output, all logs, inspect, process lists and labels."""
    agents.stack.configure({}, {"env.EXTRA_TOKEN": EXTRA})
    shown = [agents.preview("--diff").text, agents.up().text, agents.preview("--diff", "--json").text]
    agents.connect_all()
    assert f"EXTRA_TOKEN={EXTRA}" in (agents.data("ash") / ".env").read_text()
    containers = [agents.container(name) for name in ("ash", "birch")]
    shown.append(agents.stack.config_file.read_text())
    shown += [path.read_text(errors="replace") for path in (agents.folder / "state").rglob("*") if path.is_file()]
    for container in containers:
        shown += [json.dumps(container.attrs), container.logs().decode(errors="replace")]
        shown += [json.dumps(container.top(ps_args="-eo pid,args")) if container.status == "running" else ""]
    shown.append(subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout)
    logs = home_for_tests(agents.provider) / "logs"
    kept_by_pulumi = [file.read_bytes() for file in logs.glob("*.log")]
    assert kept_by_pulumi
    shown += [(zlib.decompress(log, wbits=31) if log[:2] == GZIP else log).decode("latin-1") for log in kept_by_pulumi]
    reaper = reaper_key(MASTER_KEY)
    secrets = [LLM_KEY, agents.llm_key, MASTER_KEY, EXTRA, reaper]
    secrets += [api_key_for(MASTER_KEY, agents.id(name)) for name in ("ash", "birch")]
    everything = "\n".join(shown)
    assert "hermes.fleet/credentials" in everything
    for secret in secrets:
        assert secret not in everything
        assert json.dumps(secret)[1:-1] not in everything


def test_what_is_uploaded_is_not_on_the_volume(agents: AgentFleet) -> None:
    """The fleet's own files lie in the container's layer, readable by root alone where they hold keys."""
    assert not any(Path(agents.data("ash")).glob("**/fleet"))
    _, listing = execute(agents.container("ash"), "ls", "-ln", "/opt/fleet")
    modes = {line.split()[-1]: (line.split()[0], line.split()[2]) for line in listing.splitlines()[1:]}
    assert modes["env"] == ("-rw-------", "0")
    assert modes["config.yaml"] == ("-rw-------", "0")
    assert modes["boot.sh"] == ("-rwxr-xr-x", "0")
