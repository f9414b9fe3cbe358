"""Sleeping families are woken once, however many ask, on real Docker; a killed daemon recovers."""

import json
import sqlite3
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta

from tests.support.docker.docker_events import events
from tests.support.pulumi.pulumi_stack import ROOT
from tests.support.reaper.acting import ActingFleet
from tests.support.reaper.reaper_process import daemon
from tests.support.waiting import until

CALLERS = """
import sys, json, threading
from pathlib import Path
from reaper import ensure_runtime
from reaper.context import make_context
found = []
def call():
    found.append(vars(ensure_runtime("ash", context=make_context(Path.cwd()))))
threads = [threading.Thread(target=call) for _ in range(25)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(found))
"""


def test_fifty_callers_in_two_processes_start_it_once(awake: ActingFleet) -> None:
    """All get the same healthy agent; Docker saw one start."""
    awake.container("ash").stop(timeout=1)
    with events(awake.client, [awake.resource("ash")]) as seen:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", CALLERS],
                cwd=ROOT,
                env=awake.beside.environment(),
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        found = [answer for process in processes for answer in json.loads(process.communicate(timeout=90)[0])]
    assert len(found) == 50
    assert len({answer["url"] for answer in found}) == 1
    with urllib.request.urlopen(f"{found[0]['url']}/health", timeout=5) as answer:
        assert answer.status == 200
    assert [action for _, action in seen].count("start") == 1


def test_a_sleeper_is_woken_ahead_of_its_job(awake: ActingFleet) -> None:
    """The schedule of a stopped family is read from its volume through Docker."""
    awake.does("birch", inbound=1)
    awake.beside.has_watched()
    assert awake.beside.swept()["birch"]["reason"] == "inbound"
    awake.container("birch").stop(timeout=1)
    later = datetime.now(UTC) + timedelta(seconds=50)
    job = {
        "id": "a",
        "enabled": True,
        "state": "scheduled",
        "schedule": {"kind": "cron"},
        "next_run_at": later.isoformat(),
    }
    awake.put("birch", "cron/jobs.json", json.dumps({"jobs": [job]}))
    row = awake.beside.swept()["birch"]
    assert (row["action"], row["reason"]) == ("start", "cron")
    assert awake.state("birch") == "running"


def test_the_daemon_wakes_by_heartbeat_and_by_request_and_survives_a_kill(awake: ActingFleet, unused_port: int) -> None:
    """A heartbeat and a request wake sleepers over HTTP; a killed daemon leaves no family locked; suspended is 409."""
    awake.container("ash").stop(timeout=1)
    awake.container("birch").stop(timeout=1)
    with daemon(awake.beside, unused_port) as running:
        status, answer = running.post("heartbeat", "birch")
        assert (status, answer["state"]) == (200, "waking")
        status, answer = running.post("ensure", "ash")
        assert (status, answer["woken"]) == (200, True)
        until(lambda: awake.state("birch") == "running", 30)
        assert running.post("ensure", "cedar")[0] == 409
        assert running.post("ensure", "ash", running.token("birch"))[0] == 401
        running.program.kill()
        assert json.loads(awake.beside.reaper("ensure", "ash", "--json"))["state"] == "awake"
        with sqlite3.connect(awake.folder / "reaper.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_restart_keeps_the_containers(awake: ActingFleet) -> None:
    """All awake families are stopped and started, and keep their containers."""
    before = awake.ids()
    assert len(json.loads(awake.beside.reaper("restart", "--json"))) == 2
    assert awake.ids() == before
    assert (awake.data("ash") / "drained").exists()
