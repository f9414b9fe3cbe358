"""Which orphans are removed, and what is done before."""

from fleet.errors import FleetError
from reaper.orphans import orphans
from tests.support.reaper.reaper import FakeContainer, ReaperUnderTest

STATES = ("created", "dead", "exited", "paused", "restarting", "running")
UP = ("paused", "restarting", "running")


def add_orphans(reaper: ReaperUnderTest) -> None:
    """Add an orphan in every state, named after it."""
    for state in STATES:
        name = f"hermes-user-usr_{state}"
        reaper.engine.containers[name] = FakeContainer(id=name, name=name, labels={}, state=state, created=1.0)


def test_containers_that_are_up_are_stopped_first(reaper: ReaperUnderTest) -> None:
    """Running, restarting and paused ones drain before they are removed."""
    add_orphans(reaper)
    assert [each.failed for each in orphans(reaper.context, remove=True)] == [False] * len(STATES)
    assert reaper.engine.did("stop") == [f"hermes-user-usr_{state}" for state in UP]
    assert not [name for name in reaper.engine.containers if "usr_" in name]


def test_one_that_does_not_stop_does_not_block_the_others(reaper: ReaperUnderTest) -> None:
    """It stays and is reported as failed; all others are removed."""
    add_orphans(reaper)
    reaper.engine.fail["stop"] = FleetError("no")
    failed = [each.name for each in orphans(reaper.context, remove=True) if each.failed]
    assert failed == [f"hermes-user-usr_{state}" for state in UP]
    assert [name for name in reaper.engine.containers if "usr_" in name] == failed


def test_orphans_are_removed_only_on_request(reaper: ReaperUnderTest) -> None:
    """A zero time is left alone, and one failure does not stop the rest."""
    for name, created in (("usr_1", 5.0), ("usr_2", None), ("usr_3", 7.0)):
        container = FakeContainer(id=name, name=f"hermes-user-{name}", labels={}, created=created or 0.0)
        reaper.engine.containers[container.name] = container
        if created is None:
            object.__setattr__(container, "created", None)
    assert [orphan.done[:5] for orphan in orphans(reaper.context, remove=False)] == ["would", "left ", "would"]
    assert reaper.engine.did("stop") == []
    reaper.engine.fail["stop"] = FleetError("no")
    assert [orphan.failed for orphan in orphans(reaper.context, remove=True)] == [True, False, True]
    reaper.engine.fail.clear()
    list(orphans(reaper.context, remove=True))
    assert [name for name in reaper.engine.containers if "usr_" in name] == ["hermes-user-usr_2"]
