"""How a family's decision is made: which modules take part, and that none calls back up."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from fleet.host.activity import Activity
from fleet.host.cron import CronReading
from reaper.sweep.probe import read_candidate
from reaper.sweep.stop import Stops
from reaper.sweep.sweeper import Sweeper
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ReaperUnderTest, make_reaper
from tests.support.reaper.sweeps import sweeper

# The sweep as it is drawn: observe -> Facts -> decide -> act -> Report. A module calls only those to its right.
ORDER = (
    *("sweep.sweeper", "sweep.cron", "sweep.start", "sweep.stop", "sweep.probe", "policy.facts", "policy.rules"),
    "sweep.report",
)
# Leaves that any module may use: services, data, and the memory of failures.
LEAVES = ("store", "engine", "clock", "metrics", "registry", "settings", "context", "sweep.backoff")
# Waking has a path of its own, in threads of its own, and tells its result by a callback.
OTHER_PATHS = ("wake", "health")
MOST_MODULES = 5

# Between a call of the first and the return of the second a decision is made, from a listing and from a probe.
DECISIONS = {
    Sweeper._observe.__code__: Sweeper._decide.__code__,
    Stops._process_one.__code__: read_candidate.__code__,
}


@dataclass
class Trace:
    """Calls between modules of the reaper, in all threads. `decision` holds the modules that decided for a family."""

    edges: set[tuple[str, str]] = field(default_factory=set)
    decision: set[str] = field(default_factory=set)
    _until: dict[int, CodeType] = field(default_factory=dict)

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """Take one event of the interpreter."""
        thread, callee = threading.get_ident(), _module(frame)
        if event == "call" and callee:
            if frame.f_code in DECISIONS:
                self._until[thread] = DECISIONS[frame.f_code]
            caller = _caller(frame)
            if caller and caller != callee:
                self.edges.add((caller, callee))
            if thread in self._until:
                self.decision.add(callee)
        elif event == "return" and frame.f_code is self._until.get(thread):
            del self._until[thread]


def _module(frame: FrameType) -> str | None:
    """Return the module of the reaper that a frame runs in, None for a leaf, another path or another package."""
    package, _, module = str(frame.f_globals.get("__name__", "")).partition(".")
    ignored = package != "reaper" or {module, module.partition(".")[0]} & {*LEAVES, *OTHER_PATHS}
    return None if ignored else module


def _caller(frame: FrameType) -> str | None:
    """Return the module of the reaper that a call comes from, through whatever library lies between."""
    above = frame.f_back
    while above is not None and _module(above) is None:
        above = above.f_back
    return _module(above) if above else None


@contextmanager
def traced() -> Iterator[Trace]:
    """Trace what happens inside the block, also in threads that begin there."""
    trace = Trace()
    threading.setprofile(trace.profile)
    sys.setprofile(trace.profile)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def trace_of(reaper: ReaperUnderTest) -> Trace:
    """Return the trace of one sweep, what it starts included."""
    found = sweeper(reaper)
    found.sweep(resumed=False)
    reaper.clock.pass_time(890)
    found.sweep()
    reaper.clock.pass_time(890)
    found.sweep()
    reaper.clock.pass_time(60)
    with traced() as trace:
        found.sweep()
    found.waker.wait()
    return trace


@pytest.fixture
def reaper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReaperUnderTest:
    """Return a reaper of one family."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    return make_reaper(tmp_path, [family("ash")])


def idle(reaper: ReaperUnderTest) -> None:
    """Leave the family as it is: nothing keeps it awake."""
    assert reaper.container("ash").state == "running"


def busy(reaper: ReaperUnderTest) -> None:
    """Let its agent be in use."""
    reaper.container("ash").activity = Activity(0.0, inbound=1)


def asleep_with_a_job(reaper: ReaperUnderTest) -> None:
    """Let it sleep until a job is due at the traced sweep."""
    container = reaper.container("ash")
    container.state, container.port, container.next_run = "exited", 1, CronReading(reaper.clock.wall + 1890)


@pytest.mark.parametrize(
    ("state", "expected", "modules"),
    [
        (idle, "stop", {"sweep.sweeper", "sweep.stop", "sweep.probe", "policy.facts", "policy.rules"}),
        (busy, None, {"sweep.sweeper", "sweep.stop", "sweep.probe", "policy.facts", "policy.rules"}),
        (asleep_with_a_job, "start", {"sweep.sweeper", "sweep.cron", "sweep.probe", "policy.facts", "policy.rules"}),
    ],
)
def test_a_decision_touches_five_modules_and_never_turns_back(
    reaper: ReaperUnderTest, state: Any, expected: str | None, modules: set[str]
) -> None:
    """From the observation to the decision, from a listing and then from a probe; the whole sweep goes one way."""
    state(reaper)
    trace = trace_of(reaper)
    assert trace.decision == modules
    assert len(trace.decision) <= MOST_MODULES
    assert [call for call in ("stop", "start") if reaper.engine.did(call)] == ([expected] if expected else [])
    assert [edge for edge in trace.edges if ORDER.index(edge[0]) >= ORDER.index(edge[1])] == []


def test_a_call_back_up_is_seen(reaper: ReaperUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that asked the module that calls it would be a turn back: otherwise the test above proves nothing."""
    monkeypatch.setattr("reaper.policy.facts.owned", lambda *_: bool(sweeper(reaper)))
    assert ("policy.facts", "sweep.sweeper") in trace_of(reaper).edges
