"""`python -m fleet plan` against the real engine: with and without a daemon, and beside what `up` then does."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.support.fleet.fleet import FleetUnderTest
from tests.support.fleet.plans import plan
from tests.support.pulumi.pulumi_stack import NEW_KEY, ROOT


def test_a_plan_without_a_daemon_is_what_up_then_does(fleet: FleetUnderTest) -> None:
    """Families added, removed and rolled, told with no daemon in reach; then `up` does exactly that."""
    fleet.declare("ash", "birch", "cedar", "dogwood", "elm", "fir")
    first = plan(fleet, daemon=False)
    assert (first.code, first.data["counts"]["added"], first.data["live"]) == (2, 6, False)
    assert "live state was not read" in first.text.lower()
    fleet.up()
    assert plan(fleet, daemon=False).code == 0

    fleet.container("birch").stop()
    kept = f"data stays in volume {fleet.volume('fir')}"
    fleet.families.remove(fleet.entry("fir"))
    fleet.entry("ash")["resources"] = {"memory": "768m"}
    fleet.entry("cedar")["timezone"] = "Europe/Berlin"
    fleet.entry("dogwood")["canary"] = True
    fleet.declare("oak")
    fleet.stack.configure({}, {"llmApiKey": NEW_KEY})
    blind, seeing = plan(fleet, daemon=False), plan(fleet)
    for told in (blind, seeing):
        assert told.code == 2, told.errors
        assert told.names("added") == ["oak"]
        assert told.names("removed") == ["fir"]
        assert told.names("rolled") == ["ash", "birch", "cedar", "dogwood", "elm"]
        assert kept in told.text
        assert told.text.count("-data") == 1  # no volume is a change of its own
        assert "-timezone: UTC" in told.text
        assert "+timezone: Europe/Berlin" in told.text
        assert '"memoryMiB": 768' in told.text
    reasons = {c["name"]: {r["what"] for r in c["reasons"]} for c in blind.data["changes"] if c["kind"] == "rolled"}
    assert reasons["elm"] == {"credentials"}
    assert reasons["ash"] == {"credentials", "limits"}
    assert seeing.data["counts"]["asleep"] == 1
    assert seeing.data["waves"] == [["dogwood"], ["ash", "cedar"], ["elm", "oak"]]

    names = {fleet.resource(n): n for n in ("ash", "birch", "cedar", "dogwood", "elm", "oak")}
    run = fleet.up()
    assert sorted(names[n] for n in run.names("replace")) == seeing.names("rolled")
    assert [names[n] for n in run.names("create")] == seeing.names("added")
    assert len(run.names("delete")) == len(seeing.names("removed"))
    assert fleet.state("birch") == "created"
    quiet = plan(fleet)
    assert (quiet.code, quiet.data["live"]) == (0, True)


def test_guards_refuse_and_are_overridden(fleet: FleetUnderTest) -> None:
    """An older Hermes line, too many removed, another id, an image without digest, a fleet with no canary."""
    fleet.declare("ash", "birch", "cedar")
    fleet.up()

    fleet.stack.configure({"hermesLine": "0.15"}, {"llmApiKey": NEW_KEY})
    fleet.entry("ash")["id"] = str(uuid.uuid4())
    fleet.write()
    guards = {"family-id", "hermes-line", "image-digest", "mass-removal", "no-canary"}
    told = plan(fleet, "--production", daemon=False)
    assert (told.code, set(told.guards())) == (3, guards)
    for guard in guards:
        assert f"refused ({guard})" in told.errors
    some = [word for guard in guards - {"mass-removal", "no-canary"} for word in ("--allow", guard)]
    told = plan(fleet, "--production", *some, daemon=False)
    assert (told.code, set(told.guards())) == (3, {"mass-removal", "no-canary"})
    passed = plan(fleet, "--production", *some, "--allow", "no-canary", "--max-removed", "0.5", daemon=False)
    assert (passed.code, passed.guards()) == (2, [])

    fleet.stack.configure({"hermesLine": "0.19"})
    seen = plan(fleet, "--allow", "family-id", "--max-removed", "0.5")
    assert seen.code == 3
    assert "family-id" in seen.guards()
    assert "`pulumi up` refuses it too" in seen.text


def test_a_bad_registry_is_an_error_with_its_place(fleet: FleetUnderTest) -> None:
    """What the program says about the registry reaches the reviewer; exit code 1."""
    fleet.declare("ash", timezone="Europ/London")
    told = plan(fleet, daemon=False)
    assert told.code == 1
    assert "Europ/London" in told.text


def test_an_unknown_stack_is_an_error(fleet: FleetUnderTest, tmp_path: Path) -> None:
    """Pulumi's own words, no trace."""
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "plan", "--stack", "absent"],
        cwd=ROOT,
        env={**fleet.stack.env, "DOCKER_HOST": f"unix://{tmp_path / 'absent.sock'}"},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "absent" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("guard", ["no-such-guard"])
def test_a_guard_must_exist_to_be_allowed(guard: str) -> None:
    """A misspelt guard is a wrong command line, not a silent pass."""
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "plan", "--allow", guard], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert "mass-removal" in done.stderr
