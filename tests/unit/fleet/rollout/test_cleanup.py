"""Containers of an interrupted update are removed; one that cannot be removed does not stop the creation."""

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


class Interrupted:
    """A family's container that an interrupted update left, on a daemon that may fail at any call."""

    def __init__(self, family: Family, fails: dict[str, Exception]) -> None:
        """Take the errors by the name of the call."""
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

    def get(self, name: str) -> "Interrupted":
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


Make = Callable[..., tuple[Interrupted, Family]]


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that puts such a container onto the daemon."""

    def make(**fails: Exception) -> tuple[Interrupted, Family]:
        family = make_family("smith")
        made = Interrupted(family, fails)
        monkeypatch.setattr(host, "connect", made.connect)
        return made, family

    return make


def test_it_is_drained_and_removed(interrupted: Make) -> None:
    """It is the family's own agent, perhaps in the middle of a turn; the operator is told."""
    made, family = interrupted()
    message = clear_container(family, make_settings())
    assert made.done == ["connect", "get", "stop", "remove"]
    assert message is not None
    assert message.startswith("smith: removed a container (abc, running)")


def test_no_container_is_no_message(interrupted: Make) -> None:
    """As in nearly every roll."""
    made, family = interrupted(get=NotFound("gone"))
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
def test_a_daemon_that_fails_is_a_warning(interrupted: Make, fails: dict[str, Exception]) -> None:
    """The old container is deleted by then, and the creation of the new one may still succeed."""
    made, family = interrupted(**fails)
    message = clear_container(family, make_settings())
    assert message is not None
    assert message.startswith("smith: ")
    assert str(next(iter(fails.values()))) in message
    assert f"docker stop {made.name} && docker rm {made.name}" in message
