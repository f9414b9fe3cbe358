"""`.ci/run`: it fails with its checks, with its tests, and where too few tests could run."""

import shutil
import sys

import pytest

from tests.support.setup.machine import ROOT, Machine

PASSED = '<testcase classname="tests.{layer}.test_x" name="test_{number}[{on}]"/>'


def report(engine: int = 500, e2e: int = 500, agents: int = 500) -> str:
    """Return what pytest reports of so many tests that passed on the offline provider, some of them on real agents."""
    counted = [("engine", engine, "offline"), ("e2e", e2e, "offline"), ("e2e", agents, "offline-0.19")]
    cases = [PASSED.format(layer=layer, number=at, on=on) for layer, many, on in counted for at in range(many)]
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


@pytest.fixture
def ci(machine: Machine) -> Machine:
    """Return a machine with the script, a Docker daemon, and a Python where the set-up puts it."""
    script = machine.repository / ".ci" / "run"
    script.parent.mkdir()
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    script.chmod(0o755)
    machine.command("docker", "echo 20.10.24")
    python = machine.repository / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return machine


def make(machine: Machine, *, check: int = 0, test: int = 0, written: str | None) -> None:
    """Put a `make` on the machine whose targets end with these codes; `test` writes a report, or none."""
    reported = machine.repository / "test-report" / "junit.xml"
    if written is not None:
        kept = machine.home / "junit.xml"
        kept.write_text(written)
        copied = f"mkdir -p {reported.parent}; cp {kept} {reported}"
    else:
        copied = "true"
    machine.command(
        "make", f"case $1 in check) exit {check} ;; test) {copied}; echo $HYPOTHESIS_PROFILE; exit {test} ;; esac"
    )


def test_it_passes_when_everything_does(ci: Machine) -> None:
    """Checks, then tests; the last lines say what ran on what, and what was not tested."""
    make(ci, written=report())
    answer = ci.run(".ci/run")
    assert answer.code == 0, answer.said + answer.complained
    assert ci.called("make") == ["check", "test"]
    assert answer.said.splitlines()[-1] == "CI passed"
    assert "passed: unit 0, engine 500, e2e 1000" in answer.said
    assert "not tested on the official provider" in answer.said
    assert "thorough" in answer.said


@pytest.mark.parametrize(("check", "test"), [(1, 0), (0, 1)], ids=["a check", "a test"])
def test_it_fails_with_whatever_fails(ci: Machine, check: int, test: int) -> None:
    """Any of them is enough, and the others still run."""
    make(ci, check=check, test=test, written=report())
    answer = ci.run(".ci/run")
    assert answer.code == 1
    assert ci.called("make") == ["check", "test"]
    assert answer.said.splitlines()[-1] == "CI failed"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (report(engine=3), "engine 3 of at least"),
        (report(e2e=3, agents=60), "e2e 63 of at least"),
        (report(agents=3), "agents 3 of at least"),
    ],
    ids=["engine", "e2e", "agents"],
)
def test_it_fails_where_hardly_anything_ran(ci: Machine, written: str, said: str) -> None:
    """Tests that were all skipped are no pass; it says which of them are missing."""
    make(ci, written=written)
    answer = ci.run(".ci/run")
    assert answer.code == 1
    assert said in answer.said
    assert answer.said.count("of at least") == 1


def test_no_report_is_no_pass(ci: Machine) -> None:
    """Tests that could not even begin do not count as passed; a report of an earlier run is not taken for theirs."""
    old = ci.repository / "test-report" / "junit.xml"
    old.parent.mkdir()
    old.write_text(report())
    make(ci, written=None)
    answer = ci.run(".ci/run")
    assert answer.code != 0
    assert "no test has run" in answer.complained


def test_what_takes_too_long_is_stopped_and_what_ran_is_said(ci: Machine) -> None:
    """After its time the tests are interrupted, so that they write their report; the summary comes all the same."""
    make(ci, written=report())
    stub = ci.commands / "make"
    stub.write_text(stub.read_text().replace("exit 0 ;; esac", "sleep 600 ;; esac"))
    real = shutil.which("timeout")
    ci.command("timeout", f'if [ "$1" = --foreground ]; then exec {real} "$@"; fi; shift 3; exec {real} -s INT 1 "$@"')
    answer = ci.run(".ci/run")
    assert answer.code == 1
    assert "stopped after 88 minutes" in answer.said
    assert "passed: unit 0, engine 500, e2e 1000" in answer.said
    assert answer.said.splitlines()[-1] == "CI failed"
    assert ci.called("timeout")[-1].startswith("--signal=INT --kill-after=120 88m")
