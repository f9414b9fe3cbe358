"""A fleet of stand-ins that act as a test tells them, and the reaper beside it."""

import json
import os
from collections.abc import Mapping
from typing import Any

from tests.support.fleet.fleet import FleetUnderTest
from tests.support.reaper.reaper_process import ReaperProcess

NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("human", "any", "cron_next")),
    **dict.fromkeys(("cron_running", "active_agents", "children", "inbound"), 0),
}
AGENT = 10000


class ActingFleet(FleetUnderTest):
    """Stand-ins whose activity a test writes down; `beside` is their reaper."""

    beside: ReaperProcess

    def __post_init__(self) -> None:
        """Create the stack, and put a reaper beside it."""
        super().__post_init__()
        self.beside = ReaperProcess(self.stack.name, self, self.folder)

    def does(self, name: str, file: str = "activity", **signals: Any) -> None:
        """Let an agent do something. `activity.1` and `.2` are what it says first, once each."""
        path = self.data(name) / file
        beside = path.with_name("written")
        beside.write_text(json.dumps({**NOTHING, **signals}), encoding="utf-8")
        for written in (path.parent, beside):
            os.chown(written, AGENT, AGENT)
        beside.rename(path)

    def rest(self, name: str) -> None:
        """Let an agent do nothing."""
        for file in self.data(name).glob("activity*"):
            file.unlink()
