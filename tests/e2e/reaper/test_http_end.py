"""The end of the daemon while callers wait for families."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.docker.recorded_docker import Recording, playing
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ADMIN_TOKEN, write_registry
from tests.support.reaper.reaper_program import running

STACK = "test-end"
# Many callers, each for a family of its own.
CALLERS = 40


def ensure(port: int, name: str, sent: list[str]) -> tuple[int, str]:
    """Request a family, note it in `sent`, and return the status and the error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", f"/v1/families/{name}/ensure", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    sent.append(name)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())["error"]
    connection.close()
    return found


def test_callers_who_wait_do_not_delay_the_end(tmp_path: Path) -> None:
    """All get an answer, and the process ends long before a family's health timeout."""
    names = [f"family-{number}" for number in range(CALLERS)]
    registry = write_registry(tmp_path, [family(name) for name in names])
    recording = Recording.all_running(STACK, registry)
    with (
        playing(recording, tmp_path) as host,
        running(tmp_path, STACK, registry, host, HEALTH_TIMEOUT="900", SWEEP_EVERY="900") as program,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        sent: list[str] = []
        asked = [pool.submit(ensure, program.port, name, sent) for name in names]
        while len(sent) < CALLERS:
            time.sleep(0.05)
        looks = recording.calls["inspect"]
        while recording.calls["inspect"] < looks + 10 * CALLERS:
            assert program.process.poll() is None, program.text
            time.sleep(0.05)
        program.process.terminate()
        assert program.process.wait(timeout=60) == 0, program.text
        assert [each.result() for each in asked] == [
            (503, f"{name}: the reaper is ending; ask again in a moment") for name in names
        ]
    assert "Traceback" not in program.text
