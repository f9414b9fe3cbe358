"""Runs pytest from a test, without the environment of the outer run."""

import os
import subprocess
import sys
from pathlib import Path


def run_pytest(folder: Path, *arguments: str, seconds: float, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, without the variables that the outer one set, and return the completed process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-pno:cacheprovider", *arguments],
        cwd=folder,
        env={**inherited, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
