import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.setup.machine import ROOT
from tools import ci_summary
from tools.ci_summary import Case

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_keys" name="test_a[official]"/>
<testcase classname="tests.unit.test_keys" name="test_b"><failure/></testcase>
<testcase classname="tests.engine.test_roll" name="test_c[official]"/>
<testcase classname="tests.engine.test_roll" name="test_c[offline]"/>
<testcase classname="tests.engine.test_roll" name="test_d">
<skipped type="pytest.skip" message="no promtool; get it"/></testcase>
<testcase classname="tests.e2e.test_agent" name="test_e[official-0.19]@test_agent-official-0.19"/>
<testcase classname="tests.e2e.test_agent" name="test_e[official-0.15-words of a case]"/>
<testcase classname="tests.e2e.test_agent" name="test_f[0.19-s6-official]"/>
</testsuite></testsuites>"""

PASSED = [
    Case("tests.unit.test_keys", "test_a", passed=True, reason=None),
    Case("tests.engine.test_roll", "test_c[offline]", passed=True, reason=None),
    Case("tests.e2e.test_agent", "test_e[offline-0.19]", passed=True, reason=None),
]
MODULES = [case.module for case in PASSED]


def skipped(module: str, reason: str) -> Case:
    """Return the result of a skipped test."""
    return Case(module, "test_s", passed=False, reason=reason)


def test_it_says_what_ran_on_what(tmp_path: Path) -> None:
    """Passed tests are counted by layer, provider and agent; failed and skipped ones are not among them."""
    file = tmp_path / "junit.xml"
    file.write_text(REPORT)
    assert list(ci_summary.summary(list(ci_summary.read(file)))) == [
        "passed: unit 1, engine 2, e2e 3",
        "on the official docker provider: engine 1, e2e 3",
        "on the offline docker provider: engine 1",
        "on the real hermes-agent 0.15: 1",
        "on the real hermes-agent 0.19: 1",
        "on the real hermes-agent 0.19 (s6): 1",
        "skipped 1: no promtool; get it",
    ]


def test_a_missing_official_provider_is_said() -> None:
    """A provider without a test is named, and is no failure."""
    assert "on the official docker provider: no test" in ci_summary.summary(PASSED)
    assert list(ci_summary.problems(PASSED, MODULES)) == []


@pytest.mark.parametrize("module", ["tests.unit.test_keys", "tests.engine.test_roll", "tests.e2e.test_agent"])
@pytest.mark.parametrize(
    "reason",
    [
        "no Docker daemon answers (refused); start one with: make docker",
        "no Pulumi CLI; get it with: make setup",
        "no docker provider plugin; get it with: make setup",
        "no offline docker provider, get it with: tools/offline-docker-provider/install.sh",
        "no official docker provider, get it with: make setup; no offline docker provider, get it with: install.sh",
        "no image hermes-fleet/hermes-agent:0.19.0; build it with: make image",
        "no static busybox; get it with: apt-get install busybox-static",
        "no nginx; get it with: apt-get install --no-install-recommends nginx (make test unpacks it)",
        "no Chromium; get it with: apt-get install --no-install-recommends chromium",
        "needs root; run: sudo make test",
        "",
    ],
)
def test_what_ci_can_provide_may_not_be_missing(module: str, reason: str) -> None:
    """Each reason stands once, with its tests, whatever else passed."""
    cases = [*PASSED, skipped(module, reason), skipped(module, reason)]
    assert list(ci_summary.problems(cases, MODULES)) == [
        f"2 skipped: {reason}\n    {module}::test_s\n    {module}::test_s"
    ]


@pytest.mark.parametrize(
    "reason",
    [
        "no official docker provider, get it with: make setup",
        "no promtool; get it with: apt-get install --no-install-recommends prometheus",
        "no docker-compose; get it with: apt-get install --no-install-recommends docker-compose",
        "::1:0: cannot listen; get it with: sysctl net.ipv6.conf.lo.disable_ipv6=0",
    ],
)
def test_what_ci_may_lack_may_be_skipped(reason: str) -> None:
    """And the summary says so."""
    cases = [*PASSED, skipped("tests.e2e.test_agent", reason)]
    assert list(ci_summary.problems(cases, MODULES)) == []
    assert f"skipped 1: {reason}" in ci_summary.summary(cases)


@pytest.mark.parametrize("missing", range(3))
def test_a_file_without_a_result_fails(missing: int) -> None:
    """As where it could not be collected, or the run was stopped before it."""
    cases = [*PASSED, *(Case(each.module, "test_x[0.19]", passed=True, reason=None) for each in PASSED)]
    module = MODULES[missing]
    (problem, *_) = ci_summary.problems([case for case in cases if case.module != module], MODULES)
    assert problem == f"no result of {module}"


@pytest.mark.parametrize("layer", ci_summary.LAYERS)
def test_a_layer_without_a_passed_test_fails(layer: str) -> None:
    """Failed tests and allowed skips alone are no pass."""
    reason = "no official docker provider, get it with: make setup"
    cases = [*(case for case in PASSED if case.layer != layer), skipped(f"tests.{layer}.test_x", reason)]
    assert f"no test of tests/{layer} passed" in ci_summary.problems(cases, [])


def test_a_run_without_a_real_agent_fails() -> None:
    """The other tests of its layer do not stand in for it."""
    cases = [*PASSED[:2], Case("tests.e2e.test_agent", "test_f[offline]", passed=True, reason=None)]
    assert list(ci_summary.problems(cases, MODULES)) == ["no test on a real hermes-agent passed"]


def test_every_test_file_is_expected() -> None:
    """Under the names that pytest reports."""
    modules = set(ci_summary.test_modules(ROOT / "tests"))
    assert "tests.unit.tools.test_ci_summary" in modules
    found = itertools.chain((ROOT / "tests" / "engine").rglob("test_*.py"), (ROOT / "tests" / "e2e").rglob("test_*.py"))
    assert {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in found} <= modules


def test_the_exit_code_tells(tmp_path: Path) -> None:
    """A report without most of the repository's test files fails, and names them."""
    file = tmp_path / "junit.xml"
    file.write_text(REPORT)
    script = [sys.executable, str(ROOT / "tools/ci_summary.py"), str(file)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: no result of tests.unit.tools.test_ci_summary" in done.stdout
