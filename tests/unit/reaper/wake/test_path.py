"""The way of one `ensure` by HTTP: few modules, each of which calls forward only."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType

import pytest

import reaper
from reaper.http.requests import Requests
from reaper.wake.waker import Waker
from tests.support.reaper.reaper import ReaperUnderTest

ROOT = Path(reaper.__file__).parent
# In the order in which they call each other.
WAY = ("http/requests", "wake/workers", "wake/operation", "wake/boot_slot", "engine")
# Services that every module may use; they call no module on the way.
SERVICES = ("store", "clock", "metrics", "registry", "settings", "context", "policy")


def module_of(frame: FrameType) -> str | None:
    """Return which of the reaper's modules a frame belongs to, None for others and for services."""
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT).with_suffix("").as_posix()
    return None if name.partition("/")[0] in SERVICES else name


class Healthy(BaseHTTPRequestHandler):
    """An agent that is up."""

    def do_GET(self) -> None:
        """Answer 200."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def asleep(reaper: ReaperUnderTest) -> Iterator[ReaperUnderTest]:
    """Let the family ash sleep, with an agent that answers as soon as its container runs."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as agent:
        thread = threading.Thread(target=agent.serve_forever, args=(0.05,))
        thread.start()
        reaper.container("ash").state, reaper.container("ash").port = "exited", agent.server_port
        yield reaper
        agent.shutdown()
        thread.join()


def test_an_ensure_calls_five_modules_forward(asleep: ReaperUnderTest) -> None:
    """On all threads, from the request to Docker's start and the agent's health; no module calls one before it."""
    calls: set[tuple[str, str]] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        called = module_of(frame) if event == "call" else None
        caller = frame.f_back
        while called and caller:
            calling = module_of(caller)
            if calling:
                calls.add((calling, called))
                return
            caller = caller.f_back

    async def ensure() -> None:
        runtime = await requests.ensure(asleep.context.families.current().get("ash"))
        assert runtime.woken

    requests = Requests(asleep.context, Waker(asleep.context))
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        asyncio.run(ensure())
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert {module for call in calls for module in call} == set(WAY)
    assert {(calling, called) for calling, called in calls if WAY.index(calling) > WAY.index(called)} == set()
