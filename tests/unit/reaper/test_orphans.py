"""What is done with each orphan before it is removed."""

from fleet.errors import FleetError
from reaper.orphans import orphans
from tests.support.reaper.reaper import FakeContainer, ReaperUnderTest

STATES = ("created", "dead", "exited", "paused", "restarting", "running")
UP = ("paused", "restarting", "running")


def leave(reaper: ReaperUnderTest) -> None:
    """Leave an orphan in every state behind, named after it."""
    for state in STATES:
        name = f"hermes-user-usr_{state}"
        reaper.engine.containers[name] = FakeContainer(id=name, name=name, labels={}, state=state, created=1.0)


def test_what_docker_would_not_remove_is_stopped_first(reaper: ReaperUnderTest) -> None:
    """Running, restarting and paused ones drain before they go; the others just go."""
    leave(reaper)
    assert [each.failed for each in orphans(reaper.context, remove=True)] == [False] * len(STATES)
    assert reaper.engine.did("stop") == [f"hermes-user-usr_{state}" for state in UP]
    assert not [name for name in reaper.engine.containers if "usr_" in name]


def test_one_that_does_not_stop_does_not_keep_the_others(reaper: ReaperUnderTest) -> None:
    """It stays, and is said to have failed; all others are removed."""
    leave(reaper)
    reaper.engine.fail["stop"] = FleetError("no")
    failed = [each.name for each in orphans(reaper.context, remove=True) if each.failed]
    assert failed == [f"hermes-user-usr_{state}" for state in UP]
    assert [name for name in reaper.engine.containers if "usr_" in name] == failed
