"""What a boot leaves on the volume, and whom it hands over to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.fleet.boot import AGENT, CONFIG, ENV, IDENTITY, TOOLS, Boot

AGENTS_OWN = (*AGENT, "0o600")


@pytest.mark.parametrize(
    ("era", "expected"),
    [
        ("dispatch", ["/opt/hermes/docker/entrypoint-dispatch.sh", "gateway", "run"]),
        ("s6", ["/init", "/opt/hermes/docker/main-wrapper.sh", "gateway", "run"]),
        ("tini", ["/usr/bin/tini", "-g", "--", "/opt/hermes/docker/entrypoint.sh", "gateway", "run"]),
    ],
)
def test_each_era_of_the_image_is_started_its_own_way(
    tmp_path: Path, shell: str, era: str, expected: list[str]
) -> None:
    """The entry point of the image's era takes over, always with `gateway run`."""
    container = Boot(tmp_path / "container", shell, era)
    container.boot()
    assert container.handed_over() == expected


def test_an_image_without_a_known_entry_point_is_refused(container: Boot) -> None:
    """A wrong image says so, instead of a bare 'not found'."""
    (container.root / "usr/bin/tini").unlink()
    assert "no entry point of hermes-agent" in container.refused()


def test_first_boot_on_an_empty_volume(container: Boot) -> None:
    """A fresh volume belongs to the agent afterwards, with every file of ours in it."""
    container.boot()
    assert container.facts(".")[:2] == AGENT
    assert container.facts("memories")[:2] == AGENT
    assert container.facts("config.yaml") == (*AGENT, "0o640")
    assert container.facts("memories/MEMORY.md") == AGENTS_OWN
    assert container.facts("memories/MEMORY.md.lock")[:2] == AGENT
    assert container.facts(".env") == AGENTS_OWN
    assert container.read("config.yaml") == CONFIG
    assert container.read("memories/MEMORY.md") == IDENTITY
    assert ENV in container.read(".env")
    assert sorted(path.name for path in container.data.iterdir()) == [".env", "config.yaml", "memories"]


def test_a_mounted_plugin_directory_does_not_make_a_volume_old(container: Boot) -> None:
    """Docker makes the mount point of the plugins before the first boot."""
    (container.data / "plugins").mkdir()
    container.boot()
    assert container.facts(".")[:2] == AGENT
    assert container.facts("plugins")[:2] == (0, 0)


def test_the_owner_of_an_old_volume_is_left_to_upstream(container: Boot) -> None:
    """Upstream repairs a volume of another owner as a whole, and knows it by the top directory alone."""
    container.agent_writes("state.db", "old")
    os.chown(container.data, 4321, 4321)
    container.boot()
    assert container.facts(".")[:2] == (4321, 4321)


def test_a_missing_data_directory_is_made(container: Boot) -> None:
    """HERMES_HOME may point at what is not there yet."""
    missing = container.data / "deep/er"
    container.boot(HERMES_HOME=str(missing))
    assert container.facts("deep/er")[:2] == AGENT
    assert (missing / "config.yaml").exists()


def test_a_second_boot_changes_nothing(container: Boot) -> None:
    """Every start runs the whole script again."""
    container.agent_writes(".env", "MINE=1\n")
    container.agent_writes("memories/MEMORY.md", "likes tea\n§\nhas a cat")
    container.boot()
    first = {path: path.read_bytes() for path in container.data.rglob("*") if path.is_file()}
    container.boot()
    assert {path: path.read_bytes() for path in container.data.rglob("*") if path.is_file()} == first
    assert container.unfinished() == []


def test_edits_to_the_configuration_are_gone_after_a_start(container: Boot) -> None:
    """The configuration is the operator's."""
    container.agent_writes("config.yaml", "model: mine\n", 0o600)
    container.boot()
    assert container.read("config.yaml") == CONFIG
    assert container.facts("config.yaml") == (*AGENT, "0o640")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HERMES_UID": "1234", "HERMES_GID": "2345"}, (1234, 2345)),
        ({"PUID": "1234", "PGID": "2345"}, (1234, 2345)),
        ({"HERMES_UID": "1234", "PUID": "99", "PGID": "98"}, (1234, 98)),
        ({"HERMES_UID": "", "PGID": ""}, AGENT),
        ({"HERMES_UID": "0", "HERMES_GID": "1 ; reboot"}, AGENT),
        ({"HERMES_UID": "65535", "HERMES_GID": "99999999999999999999"}, AGENT),
    ],
)
def test_the_agent_may_have_another_id(container: Boot, environment: dict[str, str], expected: tuple[int, int]) -> None:
    """Upstream's variables choose the owner; what upstream does not accept leaves it at 10000."""
    container.boot(**environment)
    for name in (".env", "config.yaml", "memories", "memories/MEMORY.md", "memories/MEMORY.md.lock"):
        assert container.facts(name)[:2] == expected


def test_files_of_root_are_healed(container: Boot) -> None:
    """Old builds and `docker exec` left files that the agent could not read."""
    container.agent_writes(".env", "MINE=1\n")
    container.agent_writes("memories/MEMORY.md", "likes tea")
    container.agent_writes("memories/MEMORY.md.lock", "")
    container.agent_writes("profiles/kid/.env", "THEIRS=2\n")
    for name in (".env", "memories", "memories/MEMORY.md", "memories/MEMORY.md.lock", "profiles/kid/.env"):
        os.chown(container.data / name, 0, 0)
    container.boot()
    for name in (".env", "memories", "memories/MEMORY.md", "memories/MEMORY.md.lock", "profiles/kid/.env"):
        assert container.facts(name)[:2] == AGENT
    assert container.facts(".env")[2] == "0o600"


def test_baileys_sessions_are_purged_and_nothing_else(container: Boot) -> None:
    """The old WhatsApp bridge must not find a session again; other platforms keep their state."""
    container.agent_writes("whatsapp/session/creds.json", "{}")
    container.agent_writes("platforms/whatsapp/session/creds.json", "{}")
    container.agent_writes("platforms/pairing/approved.json", "{}")
    (container.data / "whatsapp/session/link").symlink_to(container.root)
    container.boot()
    assert not (container.data / "whatsapp").exists()
    assert not (container.data / "platforms/whatsapp").exists()
    assert container.read("platforms/pairing/approved.json") == "{}"
    assert (container.root / "usr/bin/tini").exists()


def test_a_full_disk_truncates_nothing(container: Boot) -> None:
    """Where a file cannot be written whole, the old one stays and the boot stops."""
    container.config = CONFIG + "#" * 100_000 + "\n"
    container.write_uploads()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(container.data)], check=True)
    try:
        container.agent_writes("config.yaml", "model: old\n")
        said = container.refused()
        assert "cannot write all of" in said
        assert container.read("config.yaml") == "model: old\n"
        assert container.unfinished() == []
    finally:
        subprocess.run(["umount", str(container.data)], check=True)


def test_a_read_only_volume_is_said(container: Boot) -> None:
    """The message names the file, and the boot stops before the agent."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(container.data)], check=True)
    try:
        assert "cannot write beside" in container.refused()
    finally:
        subprocess.run(["umount", str(container.data)], check=True)


def test_what_an_interrupted_boot_left_is_cleared(container: Boot) -> None:
    """A boot that was killed in mid-write leaves a temporary file; the next one removes it."""
    (container.data / ".hermes-fleet.AbCdEf").write_text("half a secret")
    container.boot()
    assert container.unfinished() == []


def test_nothing_that_the_agent_could_have_written_is_run(container: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's search path begins in the data directory; boot.sh does not search it, the entry point does."""
    ran = container.directory / "ran"
    program = f"#!/bin/sh\necho $0 >>{ran}\n"
    for tool in (*TOOLS, "flock"):
        container.agent_writes(f".local/bin/{tool}", program, 0o755)
    agents = container.data / ".local" / "bin"
    layer = container.root / "opt/hermes/.venv/bin"
    everybodys = container.directory / "tmp"
    shutil.copytree(agents, layer)
    shutil.copytree(agents, everybodys)
    everybodys.chmod(0o1777)
    os.chown(layer, *AGENT)
    link = layer.parent / "link"
    link.symlink_to(everybodys)
    monkeypatch.chdir(agents)
    system = container.path
    container.path = f"{link}:{link}/:{layer}:{agents}:{container.data}//.local/bin/::.:{system}:"
    container.boot(HERMES_HOME=f"{container.data}/")
    assert not ran.exists(), ran.read_text()
    assert container.path_handed_over() == container.path
    container.path = str(agents)
    container.boot()
    assert not ran.exists(), ran.read_text()


def test_another_user_than_root_is_refused(container: Boot) -> None:
    """Without root nothing could be given to the agent."""
    container.directory.chmod(0o777)
    for parent in container.directory.parents:
        if str(parent).startswith("/tmp/pytest"):  # noqa: S108 - pytest keeps its directories to their owner
            parent.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=10000", "--clear-groups", "sh", str(container.fleet / "boot.sh")],
        env={"PATH": os.environ["PATH"], "HERMES_HOME": str(container.data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "expected root" in done.stderr


def test_the_umask_of_the_image_is_kept(container: Boot) -> None:
    """Our own umask does not leak into the agent."""
    os.umask(0o027)
    try:
        container.boot()
    finally:
        os.umask(0o022)
    assert container.report.read_text().split()[-1] in {"0027", "027"}
