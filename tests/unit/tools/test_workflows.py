"""The workflows: permissions, pinned actions, and what forks may not do."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.plan.markdown import MARKER

FOLDER = Path(__file__).parents[3] / ".github" / "workflows"
OURS = ("ci", "preview", "deploy")
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def workflow(name: str) -> dict[Any, Any]:
    """Return a workflow; YAML reads its `on` as true."""
    loaded: dict[Any, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return loaded


def scripts(job: dict[str, Any]) -> list[str]:
    """Return the shell scripts of a job."""
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("name", OURS)
def test_actions_are_pinned_and_permissions_named(name: str) -> None:
    """Every action is pinned to a commit with its version; each job has only the permission that it names."""
    text = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    uses = [line.strip().removeprefix("- ") for line in text.splitlines() if "uses:" in line]
    assert uses
    assert all(PINNED.search(line) for line in uses)
    loaded = workflow(name)
    assert loaded["permissions"] == {}
    for job in loaded["jobs"].values():
        assert list(job["permissions"].items()) in ([("contents", "read")], [("pull-requests", "write")])
        checkouts = [step for step in job["steps"] if str(step.get("uses", "")).startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", OURS)
def test_nothing_from_outside_becomes_shell(name: str) -> None:
    """Expressions are passed through a step's environment, never written into a script."""
    loaded = workflow(name)
    assert "env" not in loaded
    for job in loaded["jobs"].values():
        assert "env" not in job
        assert not [script for script in scripts(job) if "${{" in script]


@pytest.mark.parametrize("name", OURS)
def test_scripts_pass_shellcheck(name: str) -> None:
    """As bash with `set -e`, like on the runner."""
    shellcheck = Path(sys.executable).parent / "shellcheck"
    for job in workflow(name)["jobs"].values():
        for script in scripts(job):
            done = subprocess.run(
                [shellcheck, "--severity", "warning", "--shell", "bash", "-"],
                input=f"set -e\n{script}",
                text=True,
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout


def test_forks_get_no_preview() -> None:
    """The trigger is pull_request, and each job is limited to branches of the repository."""
    loaded = workflow("preview")
    assert set(loaded[True]) == {"pull_request"}
    for job in loaded["jobs"].values():
        assert "head.repo.full_name == github.repository" in job["if"]


def test_the_comment_job_runs_no_code_and_has_no_secret() -> None:
    """It is not the job that plans; the plan's marker identifies the comment."""
    jobs = workflow("preview")["jobs"]
    assert jobs["plan"]["permissions"] == {"contents": "read"}
    comment = jobs["comment"]
    assert not [step for step in comment["steps"] if "checkout" in step.get("uses", "")]
    assert "secrets." not in yaml.safe_dump(comment)
    assert MARKER in scripts(comment)[0]
    assert "PATCH" in scripts(comment)[0]


def test_every_change_is_checked_and_tested() -> None:
    """`.ci/run` runs for every push and pull request, and the job's timeout leaves it time for the summary."""
    loaded = workflow("ci")
    assert loaded[True] == {"push": {"branches": ["main"]}, "pull_request": None}
    (job,) = loaded["jobs"].values()
    assert scripts(job) == ["sudo .ci/run"]
    assert "secrets." not in yaml.safe_dump(loaded)
    minutes = re.search(r"^MINUTES=(\d+)$", (FOLDER.parents[1] / ".ci" / "run").read_text(), re.MULTILINE)
    assert minutes
    assert job["timeout-minutes"] > int(minutes[1]) + 20


def test_an_up_is_approved_and_never_cancelled() -> None:
    """It runs in an environment, one at a time, after a plan that passed its guards; not in a fork."""
    loaded = workflow("deploy")
    assert loaded["concurrency"]["cancel-in-progress"] is False
    up, plan = loaded["jobs"]["up"], loaded["jobs"]["plan"]
    assert up["environment"] == "production"
    assert up["needs"] == "plan"
    assert "== '2'" in up["if"]
    assert "fork" in plan["if"]
    assert set(loaded[True]) == {"push", "workflow_dispatch"}


def test_the_preview_does_not_use_the_runners_daemon() -> None:
    """Every agent would seem to be missing on it."""
    steps = workflow("preview")["jobs"]["plan"]["steps"]
    (plan,) = (step for step in steps if "fleet plan" in step.get("run", ""))
    host = plan["env"]["DOCKER_HOST"]
    assert host.startswith("unix://")
    assert not Path(host.removeprefix("unix://")).exists()
