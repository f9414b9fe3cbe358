"""The agent owns the directory that boot.sh writes to as root: what it plants there leads nowhere."""

import os
from collections.abc import Callable

import pytest

from tests.support.fleet.boot import AGENT, Boot

FILES = ["config.yaml", ".env", "memories/MEMORY.md", "memories/MEMORY.md.lock", "profiles/kid/.env"]
DIRECTORIES = ["memories", "profiles", "profiles/kid", "platforms"]


@pytest.fixture
def prepared(container: Boot) -> Boot:
    """Return a container whose agent has a profile and a file outside that it would like to have."""
    container.agent_writes("profiles/kid/SOUL.md", "a soul")
    container.agent_writes("memories/USER.md", "a user")
    container.agent_writes("platforms/pairing", "pairs")
    target = container.directory / "target"
    target.mkdir()
    (target / "secret").write_text("of root\n")
    (target / "secret").chmod(0o600)
    return container


def untouched(container: Boot) -> bool:
    """Tell whether the agent's target is as it was, and nothing was written beside it."""
    target = container.directory / "target"
    facts = (target / "secret").stat()
    return (
        [path.name for path in target.iterdir()] == ["secret"]
        and (target / "secret").read_text() == "of root\n"
        and (facts.st_uid, facts.st_mode & 0o777) == (0, 0o600)
        and target.stat().st_uid == 0
    )


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_place_of_a_file_is_refused(prepared: Boot, name: str, exists: bool) -> None:
    """Neither is root led to write elsewhere, nor does the agent get to read or own what it pointed at."""
    target = prepared.directory / "target" / ("secret" if exists else "absent")
    (prepared.data / name).symlink_to(target)
    assert f"{name} is a symbolic link" in prepared.refused()
    assert untouched(prepared)
    assert (prepared.data / name).is_symlink()


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_link_in_place_of_a_directory_is_refused(prepared: Boot, name: str) -> None:
    """A link on the way to a file leads as far away as one in its place."""
    (prepared.data / name).rename(prepared.directory / "moved")
    (prepared.data / name).symlink_to(prepared.directory / "target")
    assert f"{name} is a symbolic link" in prepared.refused()
    assert untouched(prepared)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("plant", [os.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_what_is_not_a_regular_file_is_refused(prepared: Boot, name: str, plant: Callable[[str], None]) -> None:
    """A directory would swallow the file, a pipe would stop the boot for good."""
    plant(str(prepared.data / name))
    assert f"{name} is not a regular file" in prepared.refused()


def test_a_file_in_place_of_the_memories_is_refused(prepared: Boot) -> None:
    """The message says what is there instead."""
    (prepared.data / "memories").rename(prepared.directory / "moved")
    prepared.agent_writes("memories", "no directory")
    assert "memories is not a directory" in prepared.refused()


@pytest.mark.parametrize("name", ["whatsapp", "platforms/whatsapp"])
def test_a_link_to_purge_is_removed_and_not_followed(prepared: Boot, name: str) -> None:
    """Deleting goes down into real directories only."""
    (prepared.data / "platforms/pairing").unlink()
    (prepared.data / name).symlink_to(prepared.directory / "target")
    prepared.boot()
    assert not (prepared.data / name).is_symlink()
    assert untouched(prepared)


@pytest.mark.parametrize("name", FILES)
def test_a_hard_link_is_replaced_and_not_written_through(prepared: Boot, name: str) -> None:
    """A file is renamed over, so another name of the old one keeps its content."""
    other = prepared.agent_writes("other", "shared\n")
    os.link(other, prepared.data / name)
    prepared.boot()
    assert other.read_text() == "shared\n"
    assert prepared.facts(name)[:2] == AGENT


def test_names_with_control_characters_do_not_reach_the_terminal(prepared: Boot) -> None:
    """What the agent calls a profile is printed without its escapes."""
    (prepared.data / "profiles" / "\x1b[31mred").symlink_to(prepared.directory / "target")
    said = prepared.refused()
    assert "\x1b" not in said
    assert "[31mred is a symbolic link" in said
