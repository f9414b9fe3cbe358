"""Runs pytest from a test, as if nobody had run it yet."""

import os
import subprocess
import sys
from pathlib import Path


def run_pytest(folder: Path, *arguments: str, seconds: float, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, without what the outer one has set for itself, and return how it ended."""
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
