"""A reaper of two families over a fake engine."""

from pathlib import Path

import pytest

from tests.support.fleet import family
from tests.support.reaper import ReaperUnderTest, make_reaper


@pytest.fixture
def reaper(tmp_path: Path) -> ReaperUnderTest:
    """Two families, ash and birch, whose containers have been idle for a day; the reaper has not looked yet."""
    return make_reaper(tmp_path, [family("ash"), family("birch")])
