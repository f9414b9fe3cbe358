"""A plan of a whole fleet, as a pipeline without access to the Docker host makes it.

Sixty families take some seconds, a thousand some minutes: FLEET_TEST_FAMILIES=1000 plans as many.
"""

import os

from fleet.plan.markdown import LIMIT
from tests.support.fleet.fleet import FleetUnderTest
from tests.support.fleet.many_families import multiply
from tests.support.fleet.plans import plan
from tests.support.pulumi.pulumi_stack import NEW_KEY

ADDED, REMOVED = 20, 3
ALL = int(os.environ.get("FLEET_TEST_FAMILIES", "60"))


def test_a_whole_fleet_is_planned_without_a_daemon(fleet: FleetUnderTest) -> None:
    """Twenty added, three removed, the key rotated: the comment names each of them, no other family, and fits."""
    fleet.declare("quokka")
    fleet.up()
    names = multiply(fleet, "quokka", ALL - ADDED + REMOVED - 1)
    gone, stay = names[:REMOVED], ["quokka", *names[REMOVED:]]
    fleet.families = [entry for entry in fleet.families if entry["name"] not in gone]
    fleet.entry("quokka")["canary"] = True
    new = [f"new-{number}" for number in range(ADDED)]
    fleet.declare(*new)
    fleet.stack.configure({"rollout.wave_size": str(ALL // 10)}, {"llmApiKey": NEW_KEY})

    told = plan(fleet, daemon=False)

    assert told.code == 2, told.errors
    assert (told.names("added"), told.names("removed")) == (sorted(new), sorted(gone))
    assert told.names("rolled") == sorted(stay)
    reasons = {
        reason["what"] for change in told.data["changes"] if change["kind"] == "rolled" for reason in change["reasons"]
    }
    assert reasons == {"credentials"}
    assert [len(wave) for wave in told.data["waves"]] == [1, *[ALL // 10] * 9, ALL // 10 - 1]
    assert told.data["waves"][0] == ["quokka"]
    assert sorted(name for wave in told.data["waves"] for name in wave) == sorted([*stay, *new])
    assert told.data["live"] is False
    assert len(told.text) <= LIMIT
    for name in (*new, *gone):
        assert f"`{name}`" in told.text
