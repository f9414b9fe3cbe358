"""`.ci/run`: it fails with its checks, with its tests, and where a test that matters did not run."""

import shutil
import sys

import pytest

from tests.support.setup.machine import ROOT, Machine

PASSED = """
<testcase classname="tests.unit.test_a" name="test_it"/>
<testcase classname="tests.engine.test_b" name="test_it[offline]"/>
<testcase classname="tests.e2e.test_c" name="test_it[offline-0.19]"/>
"""
SKIPPED = """
<testcase classname="tests.engine.test_b" name="test_other">
<skipped type="pytest.skip" message="no Docker daemon answers (refused); start one with: make docker"/></testcase>
"""


def report(cases: str = PASSED) -> str:
    """Return pytest's report of these results."""
    return f"<testsuites><testsuite>{cases}</testsuite></testsuites>"


@pytest.fixture
def ci(machine: Machine) -> Machine:
    """Return a machine with the script, a Docker daemon, and a virtual environment."""
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
    """Stub `make` so that its targets exit with these codes, and `test` writes a report unless it is None."""
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
    """Checks, then tests, then a summary."""
    make(ci, written=report())
    answer = ci.run(".ci/run")
    assert answer.code == 0, answer.stdout + answer.stderr
    assert ci.called("make") == ["check", "test"]
    assert answer.stdout.splitlines()[-1] == "CI passed"
    assert "passed: unit 1, engine 1, e2e 1" in answer.stdout
    assert "on the official docker provider: no test" in answer.stdout
    assert "thorough" in answer.stdout


@pytest.mark.parametrize(("check", "test"), [(1, 0), (0, 1)], ids=["a check", "a test"])
def test_it_fails_with_a_check_or_a_test(ci: Machine, check: int, test: int) -> None:
    """One of them is enough, and the other still runs."""
    make(ci, check=check, test=test, written=report())
    answer = ci.run(".ci/run")
    assert answer.code == 1
    assert ci.called("make") == ["check", "test"]
    assert answer.stdout.splitlines()[-1] == "CI failed"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (report(PASSED + SKIPPED), "1 skipped: no Docker daemon answers (refused); start one with: make docker"),
        (report(PASSED.replace("tests.engine", "tests.unit")), "no test of tests/engine passed"),
        (report(PASSED.replace("-0.19", "")), "no test on a real hermes-agent passed"),
    ],
    ids=["a skipped test", "a layer", "agents"],
)
def test_it_fails_where_a_test_that_matters_did_not_run(ci: Machine, written: str, said: str) -> None:
    """Checks and tests that pass are not enough; it says what is missing."""
    make(ci, written=written)
    answer = ci.run(".ci/run")
    assert answer.code == 1
    assert f"error: {said}" in answer.stdout
    assert answer.stdout.count("error:") == 1
    assert answer.stdout.splitlines()[-1] == "CI failed"


def test_no_report_is_no_pass(ci: Machine) -> None:
    """Tests that did not start are a failure, even where the report of an earlier run exists."""
    old = ci.repository / "test-report" / "junit.xml"
    old.parent.mkdir()
    old.write_text(report())
    make(ci, written=None)
    answer = ci.run(".ci/run")
    assert answer.code != 0
    assert "no test has run" in answer.stderr


def test_a_run_over_time_is_stopped_and_summarized(ci: Machine) -> None:
    """The tests are interrupted, so that pytest writes its report, and the summary is printed."""
    make(ci, written=report())
    stub = ci.commands / "make"
    stub.write_text(stub.read_text().replace("exit 0 ;; esac", "sleep 600 ;; esac"))
    real = shutil.which("timeout")
    ci.command("timeout", f'if [ "$1" = --foreground ]; then exec {real} "$@"; fi; shift 3; exec {real} -s INT 1 "$@"')
    answer = ci.run(".ci/run")
    assert answer.code == 1
    assert "stopped after 88 minutes" in answer.stdout
    assert "passed: unit 1, engine 1, e2e 1" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "CI failed"
    assert ci.called("timeout")[-1].startswith("--signal=INT --kill-after=120 88m")
