import subprocess
import sys
from pathlib import Path

from tests.support.setup.machine import ROOT

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_keys" name="test_a"/>
<testcase classname="tests.unit.test_keys" name="test_b"><failure/></testcase>
<testcase classname="tests.engine.test_roll" name="test_c[official]"/>
<testcase classname="tests.engine.test_roll" name="test_c[offline]"/>
<testcase classname="tests.engine.test_roll" name="test_d"><skipped/></testcase>
<testcase classname="tests.e2e.test_agent" name="test_e[official-0.19]@test_agent-official-0.19"/>
<testcase classname="tests.e2e.test_agent" name="test_e[official-0.15-words of a case]"/>
<testcase classname="tests.e2e.test_agent" name="test_f[0.19-s6-official]"/>
</testsuite></testsuites>"""


def summary(folder: Path, report: str, *floors: str) -> tuple[int, str]:
    """Return the exit code and the text of a summary."""
    file = folder / "junit.xml"
    file.write_text(report)
    script = [sys.executable, str(ROOT / "tools/ci_summary.py"), str(file), *floors]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_it_says_what_ran_on_what(tmp_path: Path) -> None:
    """Passed tests are counted by layer, provider and agent; failed and skipped ones are not among them."""
    code, text = summary(tmp_path, REPORT, "engine=1", "e2e=3")
    assert code == 0
    assert text.splitlines() == [
        "passed: unit 1, engine 2, e2e 3",
        "skipped: engine 1",
        "on the official docker provider: engine 1, e2e 3",
        "on the offline docker provider: engine 1",
        "on the real hermes-agent 0.15: 1",
        "on the real hermes-agent 0.19: 1",
        "on the real hermes-agent 0.19 (s6): 1",
    ]


def test_too_few_tests_fail(tmp_path: Path) -> None:
    """A floor that is not reached is named, and fails the run."""
    code, text = summary(tmp_path, REPORT, "engine=2", "e2e=1", "agents=4")
    assert code == 1
    assert "engine 1 of at least 2, agents 3 of at least 4" in text
    assert "e2e" not in text.rpartition("error:")[2]


def test_a_missing_official_provider_is_said(tmp_path: Path) -> None:
    """What was not tested is said in so many words."""
    assert "not tested on the official provider" in summary(tmp_path, REPORT.replace("official", "offline"))[1]
