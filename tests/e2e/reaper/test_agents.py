"""The reaper beside real agents of both Hermes lines: what they do is seen, and they wake in time for their jobs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from reaper.context import Context
from reaper.engine import healthy, parse_time
from reaper.policy.facts import Limits
from reaper.sweep.sweeper import Sweeper
from reaper.views import explain
from tests.support.docker.docker_events import events
from tests.support.fleet.agents import LINES, AgentFleet, NewAgents, pairs
from tests.support.pulumi.providers import chosen_providers
from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.reaper_process import ReaperProcess, daemon
from tests.support.waiting import until

IDLE_AFTER = 3
WRITTEN = {"human_message", "message"}


@dataclass
class Watched:
    """Real agents beside a reaper that has watched them for long: ash may sleep after three seconds, birch never."""

    agents: AgentFleet
    reaper_process: ReaperProcess
    context: Context
    sweeper: Sweeper

    def why(self, name: str) -> set[str]:
        """Return every reason that keeps a family awake now."""
        found = explain(self.context, self.context.families.current().get(name))
        return {reason["reason"] for reason in found["reasons"]}

    def sweep(self) -> dict[str, str]:
        """Sweep once and return each family's reason."""
        report = self.sweeper.sweep()
        self.sweeper.waker.wait()
        assert report.problem is None
        return {outcome.family.name: outcome.decision.reason.code for outcome in report.outcomes.values()}

    def kept_by(self, reason: str, name: str = "ash") -> None:
        """Check that a family is kept awake, sweep after sweep, for this reason among those that `explain` gives."""
        until(lambda: reason in self.why(name), 30, lambda: self.why(name))
        assert reason in self.reaper_process.why(name)
        for _ in range(2):
            assert self.sweep()[name] in self.why(name)
        assert self.agents.state(name) == "running"

    def until_asleep(self, name: str = "ash") -> list[str]:
        """Sweep until a family is asleep, and return the reasons of each sweep."""
        reasons: list[str] = []

        def asleep() -> bool:
            reasons.append(self.sweep()[name])
            return self.agents.state(name) == "exited"

        until(asleep, 60, lambda: self.why(name))
        return reasons

    def chat(self, pool: ThreadPoolExecutor, *, stream: bool) -> "Future[str]":
        """Begin to talk with ash, and return once its LLM provider was asked."""
        self.agents.llm.forget()
        answer = pool.submit(self.agents.stream if stream else self.agents.chat, "ash", "Take your time.")
        until(lambda: self.agents.llm.chats or answer.done(), 30)
        assert not answer.done(), answer.result()
        return answer


@pytest.fixture(scope="module", params=pairs(LINES, chosen_providers()), ids=lambda pair: pair.name)
def agents(request: pytest.FixtureRequest, new_agents: NewAgents) -> Iterator[AgentFleet]:
    """Yield two real agents of each Hermes line, up and healthy."""
    with new_agents("watched", request.param, "ash", "birch") as fleet:
        yield fleet


@pytest.fixture
def watched(agents: AgentFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Yield the agents, awake, beside a reaper with a fresh store and a registry of its own."""
    if agents.state("ash") != "running":
        agents.start("ash")
    agents.llm.reply = "Hello."
    reaper_process = ReaperProcess(
        agents.stack.name,
        agents,
        tmp_path_factory.mktemp("reaper"),
        limits=Limits(min_uptime=0, quiet=2),
        stop_grace=25,
        health_timeout=90,
    )
    reaper_process.sleep_rules(ash={"idle_after": IDLE_AFTER}, birch={"never": True})
    reaper_process.has_watched()
    sweeper = reaper_process.sweeper()
    yield Watched(agents, reaper_process, sweeper.context, sweeper)
    reaper_process.close()


def test_every_signal_of_an_idle_agent_can_be_read(watched: Watched) -> None:
    """The probe reads all it is asked for, and finds an idle agent idle."""
    read = watched.context.engine.activity(watched.agents.container("birch").id or "")
    assert dict(read.unread) == {}
    assert (read.human, read.cron_next) == (None, None)
    assert (read.children, read.active_agents, read.cron_running, read.inbound) == (0, 0, 0, 0)
    assert "never" in watched.reaper_process.why("birch")


def test_a_persons_message_keeps_the_agent_awake(watched: Watched) -> None:
    """A message newer than idle_after keeps the agent awake, long after the connection is closed."""
    watched.reaper_process.sleep_rules(ash={"idle_after": 600}, birch={"never": True})
    began = time.time()
    watched.agents.chat("ash", "hello")
    read = watched.context.engine.activity(watched.agents.container("ash").id or "")
    assert read.human is not None
    assert read.any is not None
    assert began - 1 <= read.human <= read.any <= time.time()
    until(lambda: watched.sweep()["ash"] == "human_message", 30, lambda: watched.why("ash"))
    assert "human_message" in watched.reaper_process.why("ash")
    assert watched.agents.state("ash") == "running"


def test_a_turn_on_a_chat_platform_counts_from_its_beginning(watched: Watched) -> None:
    """Hermes 0.15 keeps the message until its turn ends, and says of no agent that it is at work."""
    watched.reaper_process.sleep_rules(ash={"idle_after": 600}, birch={"never": True})
    began = time.time()
    watched.agents.llm.forget()
    with socket.socket(socket.AF_UNIX) as app:
        app.settimeout(30)
        app.connect(str(watched.agents.data("ash") / "sudo_chat.sock"))
        with watched.agents.llm.hold():
            app.sendall(json.dumps({"chat": "kitchen", "user": "ann", "text": "Take your time."}).encode() + b"\n")
            until(lambda: watched.agents.llm.chats, 30)
            read = watched.context.engine.activity(watched.agents.container("ash").id or "")
            assert read.human is not None
            assert began - 1 <= read.human <= time.time()
            watched.kept_by("human_message")
        said = app.makefile("rb").readline()
    assert "Hello." in json.loads(said)["text"]


def test_a_detached_run_counts_from_its_beginning(watched: Watched) -> None:
    """A client that starts a run gets its answer at once and leaves; Hermes 0.15 records nothing until it ends."""
    watched.reaper_process.sleep_rules(ash={"idle_after": 600}, birch={"never": True})
    began = time.time()
    watched.agents.llm.forget()
    with watched.agents.llm.hold():
        status, run = watched.agents.call("ash", "/v1/runs", body={"input": "Take your time."})
        assert status == 202, run
        until(lambda: watched.agents.llm.chats, 30)
        read = watched.context.engine.activity(watched.agents.container("ash").id or "")
        assert read.human is not None
        assert began - 1 <= read.human <= time.time()
        watched.kept_by("human_message")
    place = f"/v1/runs/{run['run_id']}"
    until(lambda: watched.agents.call("ash", place)[1]["status"] == "completed", 30)


@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream"])
def test_an_answer_on_its_way_is_never_cut_off(watched: Watched, *, stream: bool) -> None:
    """While an answer is worked on or read, sweep after sweep leaves the agent alone, and the answer arrives."""
    with ThreadPoolExecutor(1) as pool:
        with watched.agents.llm.hold():
            answer = watched.chat(pool, stream=stream)
            until(lambda: not watched.why("ash") & WRITTEN, 30, lambda: watched.why("ash"))
            watched.kept_by("inbound")
        assert "Hello." in answer.result()
    until(lambda: "inbound" not in watched.why("ash"), 30)


def test_a_background_process_keeps_the_agent_awake(watched: Watched) -> None:
    """What the agent's terminal left running holds it awake until it ends."""
    watched.agents.llm.call_tool("terminal", command="sleep 317", background=True)
    watched.agents.chat("ash", "Watch the oven.")
    until(lambda: not watched.why("ash") & WRITTEN, 30, lambda: watched.why("ash"))
    watched.kept_by("children")
    listed = watched.agents.container("ash").top(ps_args="-eo pid,args")["Processes"]
    for pid, arguments in listed:
        if "sleep 317" in arguments:
            os.kill(int(pid), signal.SIGTERM)
    until(lambda: "children" not in watched.why("ash"), 30)


def test_the_idle_agent_sleeps_after_its_time_and_drains(watched: Watched) -> None:
    """It is stopped after idle_after without a request, not before, and ends in order."""
    began = time.time()
    watched.context.store.record_activity(watched.agents.id("ash"), "touched", began)
    reasons = watched.until_asleep()
    assert reasons[0] == "touched"
    assert reasons[-1] == "idle"
    state = watched.agents.container("ash").attrs["State"]
    assert (parse_time(state["FinishedAt"]) or 0.0) >= began + IDLE_AFTER
    assert state["ExitCode"] != 137, "Docker had to kill it"
    assert (watched.agents.data("ash") / ".clean_shutdown").exists(), "the agent did not drain"
    told = json.loads(watched.reaper_process.reaper("explain", "ash", "--json"))
    assert (told["state"], told["ledger"][-1]["reason"]) == ("asleep", "idle")
    assert watched.agents.silent()


CALLERS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from reaper import ensure_runtime
from reaper.context import make_context
from reaper.engine import healthy
def call(_):
    found = ensure_runtime("ash", context=make_context(Path.cwd()))
    host, _, port = found.url.removeprefix("http://").partition(":")
    return found.url if healthy(host, int(port)) else "not healthy"
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(25) as pool:
    print(json.dumps(list(pool.map(call, range(25)))))
"""


def test_requests_and_a_heartbeat_wake_the_agent_once(watched: Watched, unused_port: int) -> None:
    """Fifty concurrent requests, half over HTTP and half in another process, start it once; each gets a healthy agent.

    A heartbeat is answered at once, and wakes it too.
    """
    agents, reaper_process = watched.agents, watched.reaper_process
    reaper_process.sleep_rules(ash={"idle_after": 600}, birch={"never": True})
    agents.container("ash").stop(timeout=30)
    with daemon(reaper_process, unused_port) as running:

        def call(_: int) -> str:
            status, answer = running.post("ensure", "ash")
            assert (status, answer["state"]) == (200, "awake"), answer
            port = int(answer["url"].rpartition(":")[2])
            return str(answer["url"]) if healthy("127.0.0.1", port) else "not healthy"

        library = subprocess.Popen(
            [sys.executable, "-c", CALLERS],
            cwd=ROOT,
            env=reaper_process.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert library.stdout
        assert library.stdout.readline() == "ready\n"
        with events(agents.client, [agents.resource("ash")]) as seen, ThreadPoolExecutor(25) as pool:
            calls = [pool.submit(call, number) for number in range(25)]
            urls = json.loads(library.communicate("go\n", timeout=120)[0])
            urls += [each.result() for each in calls]
        assert len(urls) == 50
        assert set(urls) == {agents.url("ash")}
        assert [action for _, action in seen].count("start") == 1

        agents.container("ash").stop(timeout=30)
        status, answer = running.post("heartbeat", "ash")
        assert (status, answer["state"]) == (200, "waking")
        until(lambda: running.post("heartbeat", "ash")[1]["state"] == "awake", 90)
    with urllib.request.urlopen(f"{agents.url('ash')}/health", timeout=5) as answered:
        assert answered.status == 200
    agents.connect("ash")


def test_a_sleeping_agent_wakes_ahead_of_its_job_and_runs_it(watched: Watched) -> None:
    """A job made through the agent's own API: it sleeps, is woken before, runs it without being stopped, sleeps again.

    A line that skips runs it missed would not run it at all.
    """
    agents, ash = watched.agents, watched.agents.id("ash")
    agents.llm.forget()
    due = datetime.now(UTC) + timedelta(seconds=watched.reaper_process.limits.cron_lead + 30)
    job = {"name": "greet", "prompt": "say hello", "schedule": due.isoformat()}
    status, answer = agents.call("ash", "/api/jobs", body=job)
    assert status in {200, 201}, answer

    watched.until_asleep()
    planned = watched.context.store.row(ash).cron_next
    assert planned is not None
    assert abs(planned - due.timestamp()) < 61, "Hermes counts in minutes at most"
    assert time.time() < planned - watched.reaper_process.limits.cron_lead, "it fell asleep too late for this test"
    until(lambda: watched.sweep()["ash"] == "cron", 90)
    assert time.time() < planned, "it was not woken ahead of its job"
    assert agents.state("ash") == "running"
    agents.connect("ash")

    with agents.llm.hold():
        until(lambda: watched.sweep()["ash"] == "cron_due", 30, lambda: watched.why("ash"))
        assert "cron_due" in watched.reaper_process.why("ash")
        until(
            lambda: watched.sweep() and agents.llm.chats, 180, lambda: agents.container("ash").logs().decode()[-3000:]
        )
        assert agents.state("ash") == "running", "it was stopped before its job"
        assert time.time() >= planned
        until(lambda: not watched.why("ash") & WRITTEN, 30, lambda: watched.why("ash"))
        watched.kept_by("cron_running")
    until(lambda: "cron_running" not in watched.why("ash"), 30)
    watched.until_asleep()
    assert watched.context.store.row(ash).cron_next is None
    assert [text for role, text in agents.messages("ash") if role == "assistant"][-1] == "Hello."
