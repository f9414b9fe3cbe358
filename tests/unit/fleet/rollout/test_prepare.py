"""What is checked before a roll: the plugins directory, a new key, the grace of agents."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import naming
from fleet.container.credentials import credentials_of
from fleet.errors import FleetError
from fleet.host import Inventory
from fleet.registry import Family
from fleet.rollout import key_check
from fleet.rollout.prepare import Reporter, make_ready, read_families
from fleet.rollout.waves import Placement, WavePlan
from fleet.settings import Rollout
from tests.support.fleet.families import make_family, make_host, make_seen, make_settings
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import write_registry


def read(folder: Path, plugins: Path, docker_host: str = "", *, preview: bool = False) -> list[str]:
    """Load a registry of one family beside a plugins directory, and return the warnings."""
    settings = make_settings(registry=write_registry(folder, [family("smith")]), plugins_dir=str(plugins))
    warned: list[str] = []
    registry = read_families(settings, docker_host, preview=preview, reporter=Reporter(warned.append, warned.append))
    assert [each.name for each in registry.families] == ["smith"]
    return warned


def test_plugins_that_agents_cannot_read_are_a_warning(tmp_path: Path) -> None:
    """As in a checkout under a strict umask: the channel would silently not work."""
    plugin = tmp_path / "plugins" / "sudo_chat"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").touch()
    for path in (plugin.parent, plugin, plugin / "plugin.yaml"):
        path.chmod(0o755)
    assert read(tmp_path, plugin.parent) == []
    (plugin / "plugin.yaml").chmod(0o640)
    (warning,) = read(tmp_path, plugin.parent)
    assert "user 10000 and cannot read" in warning
    assert "sudo_chat/plugin.yaml; fix: chmod -R a+rX" in warning
    plugin.chmod(0o751)
    assert "cannot read" in read(tmp_path, plugin.parent)[0]


def test_a_preview_names_a_directory_that_this_user_may_not_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error with its fix, as in an up; a directory that does not exist is on another machine."""
    (warning,) = read(tmp_path, tmp_path / "elsewhere", preview=True)
    assert "not on this machine" in warning
    is_dir = Path.is_dir

    def closed(path: Path) -> bool:
        if path.name == "plugins":
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", closed)
    with pytest.raises(FleetError, match="this user cannot read"):
        read(tmp_path, tmp_path / "plugins", preview=True)


@pytest.mark.parametrize("docker_host", ["tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://[::1]:2375"])
def test_a_daemon_on_loopback_is_on_this_machine(tmp_path: Path, docker_host: str) -> None:
    """Its plugins directory is checked if it exists; a forwarded daemon's may be on another machine."""
    (tmp_path / "plugins").mkdir(mode=0o777)
    (tmp_path / "plugins").chmod(0o777)
    with pytest.raises(FleetError, match="writ"):
        read(tmp_path, tmp_path / "plugins", docker_host)
    (warning,) = read(tmp_path, tmp_path / "elsewhere", docker_host)
    assert "not on this machine" in warning
    (warning,) = read(tmp_path, tmp_path / "plugins", "tcp://192.0.2.1:2375")
    assert "not on this machine" in warning


class Rolled:
    """Runs `make_ready` for one family, whose image is there, and records what it reports and asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, verdict: Any) -> None:
        """Let the provider answer with th== verdict."""
        self.reported, self.asked, self.verdict = list[str](), list[str](), verdict
        monkeypatch.setattr(key_check, "ask_provider", self.answer)

    def answer(self, _: object, key: str) -> key_check.KeyCheck:
        """Record the key that is asked about."""
        self.asked.append(key)
        return key_check.KeyCheck(self.verdict, "answered")

    def make_ready(self, inventory: Inventory, family: Family, **values: Any) -> None:
        """Prepare the roll of a family."""
        plan = WavePlan(((Placement(family, start=True),),), ())
        client: Any = SimpleNamespace(images=SimpleNamespace(get=lambda _: None))
        make_ready(
            client, plan, make_settings(**values), inventory, Reporter(self.reported.append, self.reported.append)
        )


def test_a_new_key_that_is_refused_stops_the_roll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families whose containers have other credentials would get a dead key."""
    family, rolled = make_family("smith"), Rolled(monkeypatch, "refused")
    with pytest.raises(FleetError, match="no container was touched"):
        rolled.make_ready(make_host(make_seen(family, labels={naming.LABEL_CREDENTIALS: "old"})), family)
    assert rolled.asked == ["sk-unit-test-key"]


def test_removing_a_family_with_secrets_of_its_own_asks_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other families get nothing new."""
    family, removed = make_family("smith"), make_family("jones")
    own = {naming.LABEL_CREDENTIALS: credentials_of(family, make_settings())}
    rolled = Rolled(monkeypatch, "refused")
    inventory = make_host(make_seen(family, labels=own), make_seen(removed, labels={naming.LABEL_CREDENTIALS: "chat"}))
    rolled.make_ready(inventory, family)
    assert (rolled.asked, rolled.reported) == ([], [])


def test_a_placeholder_in_place_of_the_key_is_asked_about_where_agents_would_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A first fleet comes up with it unasked; an existing one does not lose its key silently."""
    family, rolled = make_family("smith"), Rolled(monkeypatch, "refused")
    rolled.make_ready(make_host(), family, llm_api_key=key_check.PLACEHOLDER_KEY)
    assert (rolled.asked, rolled.reported) == ([], [])
    living = make_host(make_seen(family, labels={naming.LABEL_CREDENTIALS: "old"}))
    with pytest.raises(FleetError, match="no container was touched"):
        rolled.make_ready(living, family, llm_api_key=key_check.PLACEHOLDER_KEY)


def test_a_grace_too_short_to_drain_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next roll would kill agents in the middle of a turn; enough grace is not reported."""
    family, rolled = make_family("smith"), Rolled(monkeypatch, "accepted")
    for seconds in (15, 14, 1):
        rolled.make_ready(make_host(), family, rollout=Rollout(stop_grace=seconds, preflight=False))
    assert [line.partition(" is ")[0] for line in rolled.reported] == [
        "hermes-fleet:rollout.stop_grace: 14 s",
        "hermes-fleet:rollout.stop_grace: 1 s",
    ]
