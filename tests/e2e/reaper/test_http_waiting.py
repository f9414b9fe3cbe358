"""Callers who have to wait, over a real socket: they keep nobody else waiting, and what they said is written down."""

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ADMIN_TOKEN, make_reaper
from tests.support.reaper.reaper_http import Served, serving
from tests.support.waiting import until

# More than the server has threads.
WAITING = 120


def ask(port: int, name: str, route: str) -> int:
    """Ask over a connection of one's own and return the status."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("POST", f"/v1/families/{name}/{route}", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        return connection.getresponse().status


@contextmanager
def asking(served: Served, route: str) -> Iterator[list[Future[int]]]:
    """Ask for many families at a time, until the reaper ends with the block."""
    with ThreadPoolExecutor(WAITING) as pool:
        try:
            yield [pool.submit(ask, served.port, f"waiting-{number}", route) for number in range(WAITING)]
        finally:
            served.reaper.context.ended.set()


def written_down(served: Served, signal: str) -> int:
    """Return how many families have a sign of life."""
    return sum(getattr(row, signal) is not None for row in served.reaper.context.store.rows().values())


def test_families_that_do_not_come_up_keep_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While many are waited for in vain, one that runs is handed out and one that sleeps is woken."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda _, port: port == 4711)
    reaper = make_reaper(tmp_path, [*(family(f"waiting-{number}") for number in range(WAITING)), family("ash")])
    for container in reaper.engine.containers.values():
        container.port = 1
    reaper.container("ash").port = 4711
    with serving(reaper) as served, asking(served, "ensure") as asked:
        until(lambda: written_down(served, "touched") == WAITING, 60, lambda: written_down(served, "touched"))
        for woken in (False, True):
            answer = served.ask("POST", "/v1/families/ash/ensure", served.token("ash"))
            assert (answer.status_code, answer.json()["woken"]) == (200, woken)
            reaper.container("ash").state = "exited"
        assert not any(each.done() for each in asked)


def test_heartbeats_are_written_down_while_the_daemon_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one is, and soon answered that the daemon is away; once it is back they say how the family is."""
    monkeypatch.setattr("reaper.http.requests._HEARTBEAT_SECONDS", 0.5)
    back = threading.Event()
    reaper = make_reaper(tmp_path, [family(f"waiting-{number}") for number in range(WAITING)])
    reaper.engine.before["inspect"] = lambda: back.wait(100)
    with serving(reaper) as served:
        try:
            with asking(served, "heartbeat") as asked:
                until(lambda: all(each.done() for each in asked), 60, lambda: written_down(served, "heartbeat"))
            assert written_down(served, "heartbeat") == WAITING
            assert {each.result() for each in asked} == {503}
        finally:
            back.set()
        monkeypatch.undo()
        assert served.ask("POST", "/v1/families/waiting-0/heartbeat", ADMIN_TOKEN).json()["state"] == "awake"
