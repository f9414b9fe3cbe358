"""How a roll goes through a fleet, on the real engine, a real provider and a real daemon."""

from tests.support.docker.docker_events import events
from tests.support.fleet.fleet import FleetUnderTest
from tests.support.pulumi.pulumi_stack import LLM_KEY, NEW_KEY


def started(fleet: FleetUnderTest, *names: str) -> None:
    """Declare families and bring them up."""
    fleet.declare(*names)
    fleet.up()


def rolled(fleet: FleetUnderTest) -> None:
    """Give the stack a new LLM key."""
    fleet.stack.configure({}, {"llmApiKey": NEW_KEY})


def test_a_second_up_a_refresh_and_sleep_are_no_change(fleet: FleetUnderTest) -> None:
    """What was declared is what is read back: nothing is ever replaced twice for one value, asleep or awake."""
    fleet.defaults = {"resources": {"memory": "512m", "cpus": 0.5}}
    fleet.declare("ash", "birch")
    first = fleet.up()
    assert first.changed == {"create": 9}  # stack, fleet, network and three for each family
    assert [fleet.state(name) for name in ("ash", "birch")] == ["running", "running"]

    fleet.container("ash").stop()
    assert fleet.up().changed == {}
    assert fleet.silent(refreshed=True)
    fleet.container("ash").start()
    fleet.container("birch").stop()
    fleet.stack.refresh()
    fleet.container("ash").stop()
    assert fleet.up().changed == {}


def test_new_credentials_roll_the_awake_and_never_start_a_sleeper(fleet: FleetUnderTest) -> None:
    """Everyone is replaced once; the awake turn healthy, the sleepers stay `Created` without a start."""
    started(fleet, "ash", "birch", "cedar")
    fleet.container("birch").stop()
    fleet.container("cedar").stop()
    before = fleet.ids()
    rolled(fleet)
    with events(fleet.client, [fleet.resource(n) for n in ("birch", "cedar")]) as seen:
        run = fleet.up()
    assert sorted(run.names("replace")) == sorted(fleet.resource(n) for n in before)
    assert {n: fleet.state(n) for n in before} == {"ash": "running", "birch": "created", "cedar": "created"}
    assert not set(before.values()) & set(fleet.ids().values())
    assert "start" not in {action for _, action in seen}
    assert {action for _, action in seen} >= {"create", "destroy"}
    assert fleet.silent()


def test_a_roll_goes_in_waves_with_canaries_first(fleet: FleetUnderTest) -> None:
    """Canaries are replaced and gated before the first wave, waves one after the other, sleepers after the last."""
    fleet.declare("ash", "birch", "cedar", "dogwood", "elm")
    fleet.entry("dogwood")["canary"] = True
    fleet.write()
    fleet.up()
    fleet.container("ash").stop()
    rolled(fleet)
    names = {fleet.resource(n): n for n in ("ash", "birch", "cedar", "dogwood", "elm")}
    with events(fleet.client, names) as seen:
        fleet.up()
    told = [(names[name], action) for name, action in seen]
    created = [told.index((name, "create")) for name in ("dogwood", "birch", "cedar", "elm", "ash")]
    healthy = [told.index((name, "health_status: healthy")) for name in ("dogwood", "birch", "cedar", "elm")]
    assert healthy[0] < min(created[1:3])
    assert max(healthy[1:3]) < created[3]
    assert healthy[3] < created[4]


def test_new_families_that_a_halted_up_did_not_come_to_are_still_new(fleet: FleetUnderTest) -> None:
    """No resource of a later wave is created early: once the cause is fixed, every family comes up awake and gated."""
    fleet.stack.configure({"rollout.wave_size": "1"})
    fleet.declare("ash", canary=True)
    fleet.declare("birch", "cedar")
    fleet.client.volumes.create(fleet.volume("ash"))
    fleet.put("ash", "sick")
    assert fleet.up(code=None).code != 0
    assert [fleet.state(name) for name in ("ash", "birch", "cedar")] == ["running", "gone", "gone"]

    (fleet.data("ash") / "sick").unlink()
    fleet.up()
    fleet.wait_healthy("ash", "birch", "cedar", seconds=0)
    assert fleet.silent()


def test_a_sick_family_halts_the_roll_until_it_is_suspended(fleet: FleetUnderTest) -> None:
    """The gate is sticky: later waves stay untouched, the same `up` gates only the sick one and halts again.

    `state: suspended` takes a family out of every gate: it is declared, stopped, and the roll finishes.
    """
    started(fleet, "ash", "birch", "cedar")
    before = fleet.ids()
    fleet.put("birch", "sick")
    rolled(fleet)

    halted = fleet.up(code=None)
    assert halted.code != 0
    after = fleet.ids()
    assert {n for n in before if before[n] != after[n]} == {"ash", "birch"}
    assert f"family birch ({fleet.resource('birch')}) did not pass its gate" in halted.text
    assert "last health output: exit" in halted.text
    assert "stub agent on" in halted.text
    assert "state: suspended" in halted.text
    assert LLM_KEY not in halted.text
    assert NEW_KEY not in halted.text

    again = fleet.up(code=None)
    assert again.code != 0
    assert again.names("replace") == [fleet.resource("birch")]
    assert fleet.ids()["cedar"] == before["cedar"]
    assert fleet.ids()["ash"] == after["ash"]

    fleet.entry("birch")["state"] = "suspended"
    fleet.write()
    finished = fleet.up()
    assert sorted(finished.names("replace")) == sorted(fleet.resource(n) for n in ("birch", "cedar"))
    assert [fleet.state(n) for n in before] == ["running", "created", "running"]
    assert fleet.silent()


def test_a_crash_loop_halts_every_retry_until_it_is_healed(fleet: FleetUnderTest) -> None:
    """A family whose agent keeps crashing never counts as asleep; no later one is touched before it is well."""
    started(fleet, "ash", "birch", "cedar")
    before = fleet.ids()
    fleet.put("ash", "crash")
    rolled(fleet)
    for _ in range(2):
        assert fleet.up(code=None).code != 0
        assert fleet.ids()["cedar"] == before["cedar"]
    (fleet.data("ash") / "crash").unlink()
    finished = fleet.up()
    assert fleet.resource("birch") not in finished.names("replace")
    assert {fleet.resource(n) for n in ("ash", "cedar")} == set(finished.names("replace"))
    assert {fleet.state(n) for n in before} == {"running"}


def test_destroy_keeps_every_volume(fleet: FleetUnderTest) -> None:
    """`pulumi destroy` takes the containers and the network; the families' data stays."""
    started(fleet, "ash")
    fleet.put("ash", "memory.txt", "do not forget")
    fleet.stack.run("destroy", "--yes", "--skip-preview", "--config-file", str(fleet.stack.config_file), check=True)
    assert fleet.state("ash") == "gone"
    assert (fleet.data("ash") / "memory.txt").read_text() == "do not forget"


def test_many_sleepers_at_once_do_not_lock_the_program_up(fleet: FleetUnderTest) -> None:
    """More containers are being created than the SDK has threads, which is four times --parallel; hooks still run."""
    fleet.stack.configure({"newFamilies": "asleep"})
    names = [f"family-{number}" for number in range(7)]
    fleet.declare(*names)
    assert len(fleet.up("--parallel", "1").names("create")) == len(names)
    assert {fleet.state(name) for name in names} == {"created"}
