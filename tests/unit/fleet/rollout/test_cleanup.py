"""What a dead `up` left is cleared away, and what cannot be cleared away costs no family its container."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.errors import APIError, NotFound

from fleet import host, naming
from fleet.errors import FleetError
from fleet.registry import Family
from fleet.rollout.cleanup import clear_container
from tests.support.fleet.families import STACK, make_family, make_settings


class Leftover:
    """A container of a family, on a daemon that may fail at any call."""

    def __init__(self, family: Family, fails: dict[str, Exception]) -> None:
        """Take what goes wrong, by the name of the call."""
        self.name, self.labels = naming.container_name(family.id), naming.family_labels(STACK, "a", family.id)
        self.short_id, self.status = "abc", "running"
        self.fails, self.done = fails, list[str]()

    def connect(self) -> Any:
        """Return a client of that daemon."""
        self.call("connect")
        return SimpleNamespace(containers=SimpleNamespace(get=self.get), close=lambda: None)

    def call(self, name: str) -> None:
        """Note a call, or let it fail."""
        if name in self.fails:
            raise self.fails[name]
        self.done.append(name)

    def get(self, name: str) -> "Leftover":
        """Return it by its name."""
        assert name == self.name
        self.call("get")
        return self

    def stop(self, timeout: int) -> None:
        """Stop it with grace."""
        assert timeout == 30
        self.call("stop")

    def remove(self, *, force: bool) -> None:
        """Remove it."""
        assert force
        self.call("remove")


Make = Callable[..., tuple[Leftover, Family]]


@pytest.fixture
def leftover(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return what puts a leftover onto the daemon."""

    def make(**fails: Exception) -> tuple[Leftover, Family]:
        family = make_family("smith")
        made = Leftover(family, fails)
        monkeypatch.setattr(host, "connect", made.connect)
        return made, family

    return make


def test_a_leftover_is_drained_and_removed(leftover: Make) -> None:
    """It is the family's own agent, which may be in mid-turn; the operator is told."""
    made, family = leftover()
    said = clear_container(family, make_settings())
    assert made.done == ["connect", "get", "stop", "remove"]
    assert said is not None
    assert said.startswith("smith: removed a container (abc, running)")


def test_nothing_there_is_nothing_to_say(leftover: Make) -> None:
    """As in nearly every roll."""
    made, family = leftover(get=NotFound("gone"))
    assert clear_container(family, make_settings()) is None
    assert made.done == ["connect"]


@pytest.mark.parametrize(
    "fails",
    [
        {"connect": FleetError("docker: no daemon answers")},
        {"get": APIError("500 Server Error")},
        {"stop": requests.exceptions.ReadTimeout("Read timed out")},
        {"remove": APIError("409 removal is already in progress")},
    ],
    ids=lambda fails: next(iter(fails)),
)
def test_a_daemon_that_fails_is_a_warning(leftover: Make, fails: dict[str, Exception]) -> None:
    """The old container is deleted by then: whether the new one can be made is for its creation to say."""
    made, family = leftover(**fails)
    said = clear_container(family, make_settings())
    assert said is not None
    assert said.startswith("smith: ")
    assert str(next(iter(fails.values()))) in said
    assert f"docker stop {made.name} && docker rm {made.name}" in said
