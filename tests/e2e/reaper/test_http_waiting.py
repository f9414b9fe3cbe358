"""Callers who wait, over a real socket: they delay no other caller, and their activity is recorded."""

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
    """Send a request on a connection of its own and return the status."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("POST", f"/v1/families/{name}/{route}", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        return connection.getresponse().status


@contextmanager
def asking(served: Served, route: str) -> Iterator[list[Future[int]]]:
    """Request many families at once, until the reaper ends with the block."""
    with ThreadPoolExecutor(WAITING) as pool:
        try:
            yield [pool.submit(ask, served.port, f"waiting-{number}", route) for number in range(WAITING)]
        finally:
            served.reaper.context.ended.set()


def recorded(served: Served, signal: str) -> int:
    """Return how many families have such activity."""
    return sum(getattr(row, signal) is not None for row in served.reaper.context.store.rows().values())


def test_families_that_do_not_come_up_delay_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile a family that runs is returned and one that sleeps is woken."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda _, port: port == 4711)
    reaper = make_reaper(tmp_path, [*(family(f"waiting-{number}") for number in range(WAITING)), family("ash")])
    for container in reaper.engine.containers.values():
        container.port = 1
    reaper.container("ash").port = 4711
    with serving(reaper) as served, asking(served, "ensure") as asked:
        until(lambda: recorded(served, "touched") == WAITING, 60, lambda: recorded(served, "touched"))
        for woken in (False, True):
            answer = served.ask("POST", "/v1/families/ash/ensure", served.token("ash"))
            assert (answer.status_code, answer.json()["woken"]) == (200, woken)
            reaper.container("ash").state = "exited"
        assert not any(each.done() for each in asked)


def test_heartbeats_are_recorded_while_the_daemon_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is, and is soon answered with 503; once the daemon is back they get the family's state."""
    monkeypatch.setattr("reaper.http.requests._HEARTBEAT_SECONDS", 0.5)
    back = threading.Event()
    reaper = make_reaper(tmp_path, [family(f"waiting-{number}") for number in range(WAITING)])
    reaper.engine.before["inspect"] = lambda: back.wait(100)
    with serving(reaper) as served:
        try:
            with asking(served, "heartbeat") as asked:
                until(lambda: all(each.done() for each in asked), 60, lambda: recorded(served, "heartbeat"))
            assert recorded(served, "heartbeat") == WAITING
            assert {each.result() for each in asked} == {503}
        finally:
            back.set()
        monkeypatch.undo()
        assert served.ask("POST", "/v1/families/waiting-0/heartbeat", ADMIN_TOKEN).json()["state"] == "awake"
