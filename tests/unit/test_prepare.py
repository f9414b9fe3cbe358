"""What is checked of the plugins directory before a roll."""

from pathlib import Path

import pytest

from fleet.prepare import Speech, read_families
from fleet.problems import FleetError
from tests.support.families import make_settings
from tests.support.fleet import family
from tests.support.reaper import write_registry


def read(folder: Path, plugins: Path, docker_host: str = "", *, preview: bool = False) -> list[str]:
    """Load a registry of one family beside a plugins directory, and return the warnings."""
    settings = make_settings(registry=write_registry(folder, [family("smith")]), plugins_dir=str(plugins))
    warned: list[str] = []
    registry = read_families(settings, docker_host, preview=preview, speech=Speech(warned.append, warned.append))
    assert [each.name for each in registry.families] == ["smith"]
    return warned


def test_plugins_that_agents_cannot_read_are_a_warning(tmp_path: Path) -> None:
    """As in a checkout under a strict umask: the channel would be dead, and nothing would say so."""
    plugin = tmp_path / "plugins" / "sudo_chat"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").touch()
    for path in (plugin.parent, plugin, plugin / "plugin.yaml"):
        path.chmod(0o755)
    assert read(tmp_path, plugin.parent) == []
    (plugin / "plugin.yaml").chmod(0o640)
    (warning,) = read(tmp_path, plugin.parent)
    assert "user 10000 and cannot read" in warning
    assert "sudo_chat/plugin.yaml; mend it with: chmod -R a+rX" in warning
    plugin.chmod(0o751)
    assert "cannot read" in read(tmp_path, plugin.parent)[0]


def test_a_preview_names_a_directory_that_this_user_may_not_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a problem with its mend, as in an up; one that is not there is not on this machine."""
    (warning,) = read(tmp_path, tmp_path / "elsewhere", preview=True)
    assert "not on this machine" in warning
    look = Path.is_dir

    def closed(path: Path) -> bool:
        if path.name == "plugins":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "is_dir", closed)
    with pytest.raises(FleetError, match="may not look into"):
        read(tmp_path, tmp_path / "plugins", preview=True)


@pytest.mark.parametrize("docker_host", ["tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://[::1]:2375"])
def test_a_daemon_on_loopback_is_on_this_machine(tmp_path: Path, docker_host: str) -> None:
    """Its plugins directory is checked where there is one; a forwarded daemon's may be elsewhere."""
    (tmp_path / "plugins").mkdir(mode=0o777)
    (tmp_path / "plugins").chmod(0o777)
    with pytest.raises(FleetError, match="writ"):
        read(tmp_path, tmp_path / "plugins", docker_host)
    (warning,) = read(tmp_path, tmp_path / "elsewhere", docker_host)
    assert "not on this machine" in warning
    (warning,) = read(tmp_path, tmp_path / "plugins", "tcp://192.0.2.1:2375")
    assert "not on this machine" in warning
