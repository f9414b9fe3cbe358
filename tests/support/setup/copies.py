"""Copies of the repository that tests may change."""

import shutil
from pathlib import Path

from tests.support.pulumi.pulumi_stack import ROOT


def copy_repository(target: Path) -> Path:
    """Copy the repository without docs and generated files, link environment and tools; return the copy."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "test-report", "docs", "Pulumi.*.yaml")
    shutil.copytree(ROOT, target, ignore=ignored)
    for shared in (".venv", ".tools"):
        (target / shared).symlink_to(ROOT / shared)
    return target
