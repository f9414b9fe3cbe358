"""Who is at work while a plan is read."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import naming
from fleet.host import Inventory
from fleet.host.activity import Activity, nothing_read
from fleet.plan.activity import describe, with_live_state
from fleet.plan.markdown import markdown
from fleet.plan.reader import read_plan
from tests.support.fleet.families import make_family, make_host, make_seen
from tests.support.fleet.previews import digest, family_steps

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        (Activity(NOW), "idle"),
        (Activity(NOW, human=NOW - 9999, any=NOW - 9999), "idle"),
        (Activity(NOW, any=NOW - 30), "in a conversation"),
        (Activity(NOW, active_agents=1, inbound=2), "answering, connected"),
        (Activity(NOW, children=1), "running a command"),
        (Activity(NOW, cron_running=1), "running a job"),
        (nothing_read(NOW, "no probe"), "unknown"),
        (replace(nothing_read(NOW, "no probe"), active_agents=1), "answering"),
    ],
)
def test_an_agent_is_at_work_idle_or_unknown(activity: Activity, expected: str) -> None:
    """One signal of work is enough; without any, what could not be read leaves it open."""
    assert describe(activity) == expected


def test_the_comment_names_who_would_be_stopped_at_work() -> None:
    """Sleepers and the idle are counted, those at work named."""
    new = {"credentials": "f" * 16}
    plan = read_plan(digest(*(family_steps(n, "roll", new=new) for n in ("ash", "birch", "cedar"))), stack="dev")
    doing = {"ash": "idle", "birch": "in a conversation", "cedar": "asleep"}
    text = markdown(replace(plan, changes=tuple(replace(c, doing=doing[c.name]) for c in plan.changes)))
    assert "Of them now: 1 asleep, 1 idle, 0 that cannot be asked." in text
    assert "**1 would be stopped while at work:** `birch` (`in a conversation`)" in text


def test_a_host_that_has_none_of_the_fleet_is_perhaps_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the daemon of a CI runner: the plan would count everyone as gone. A first `up` has no family yet."""
    client: Any = SimpleNamespace(api=None)
    monkeypatch.setattr("fleet.plan.activity.list_fleet", lambda _: Inventory())
    rolled = read_plan(digest(family_steps("ash", "roll", new={"credentials": "f" * 16})), stack="prod")
    (note,) = with_live_state(rolled, client).notes
    assert "no container of stack prod, which has 1 families" in note
    assert "DOCKER_HOST" in note
    assert with_live_state(read_plan(digest(family_steps("ash", "create")), stack="prod"), client).notes == ()
    seen = make_seen(make_family("birch"), labels={naming.LABEL_STACK: "prod"})
    monkeypatch.setattr("fleet.plan.activity.list_fleet", lambda _: make_host(seen))
    assert with_live_state(rolled, client).notes == ()
