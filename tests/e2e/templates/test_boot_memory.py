"""The identity block goes into MEMORY.md, and what the agent wrote there stays."""

import fcntl
import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.fleet.boot import IDENTITY, TOOLS, Boot
from tests.support.fleet.hermes_memory import editable, entries

MEMORY = "memories/MEMORY.md"
MARKER = IDENTITY.splitlines()[0]
OLD = f"{MARKER}\nan older block\n\nof several lines"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", IDENTITY),
        ("\n \n", IDENTITY),
        ("likes tea", f"{IDENTITY}\n§\nlikes tea"),
        ("likes tea\n", f"{IDENTITY}\n§\nlikes tea\n"),
        ("likes tea\n§\nhas a cat\n", f"{IDENTITY}\n§\nlikes tea\n§\nhas a cat\n"),
        (f"{OLD}\n§\nlikes tea", f"{IDENTITY}\n§\nlikes tea"),
        (f"likes tea\n§\n{OLD}\n§\nhas a cat", f"{IDENTITY}\n§\nlikes tea\n§\nhas a cat"),
        (f"{OLD}\n§\nlikes tea\n§\n{OLD}", f"{IDENTITY}\n§\nlikes tea"),
        (f"\n\n  {OLD}\n\n§\n\nlikes tea", f"{IDENTITY}\n§\nlikes tea"),
        ("\n\nlikes tea", f"{IDENTITY}\n§\nlikes tea"),
        (f"likes tea\r\n§\r\n{OLD}\r\n§\r\nhas a cat\r\n", f"{IDENTITY}\n§\nlikes tea\r\n§\r\nhas a cat\r\n"),
        ("paragraph 1 § of the law", f"{IDENTITY}\n§\nparagraph 1 § of the law"),
        ("§ older", f"{IDENTITY}\n§\n§ older"),
        (f"I keep {MARKER} in mind", f"{IDENTITY}\n§\nI keep {MARKER} in mind"),
        ("back\\slash \\n %s & \\1", f"{IDENTITY}\n§\nback\\slash \\n %s & \\1"),
        (OLD, IDENTITY),
    ],
)
def test_our_entry_is_replaced_and_no_other(container: Boot, before: str, after: str) -> None:
    """Ours comes first and once; the agent's entries keep their bytes and their order."""
    container.agent_writes(MEMORY, before)
    container.boot()
    assert container.read(MEMORY) == after


def test_a_huge_memory_survives(container: Boot) -> None:
    """A file far beyond any limit is kept to the last byte, long lines included."""
    notes = "\n§\n".join([f"note {number} " + "x" * 100 for number in range(2_000)] + ["y" * 300_000])
    container.agent_writes(MEMORY, notes)
    container.boot()
    assert container.read(MEMORY) == f"{IDENTITY}\n§\n{notes}"


def test_bytes_that_are_no_text_survive(container: Boot) -> None:
    """Only NUL, which no text holds, is dropped."""
    container.agent_writes(MEMORY, b"caf\xe9 \xff\xfe\n\xc2\xa7\nnu\0l")
    container.boot()
    found = (container.data / MEMORY).read_bytes()
    assert found == IDENTITY.encode() + b"\n\xc2\xa7\ncaf\xe9 \xff\xfe\n\xc2\xa7\nnul"


def test_a_line_break_at_the_end_of_the_upload_is_no_part_of_the_entry(container: Boot) -> None:
    """The entry ends where its text does."""
    container.identity = IDENTITY + "\n"
    container.write_uploads()
    container.agent_writes(MEMORY, "likes tea")
    container.boot()
    assert container.read(MEMORY) == f"{IDENTITY}\n§\nlikes tea"


PIECES = st.sampled_from(
    ["§", "§\r", " §", "§§", "", " ", "\t", "likes tea", "a § b", MARKER, f" {MARKER} ", "\r", "\v"]
)
FILES = st.lists(PIECES | st.text(max_size=8), max_size=12).map("\n".join)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=FILES)
@example(before="\n§\n")
@example(before="\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\n\N{EM SPACE}tea")
@example(before="\x85\x1c\N{LINE SEPARATOR}")
@example(before=f"{MARKER}\n§")
@example(before="§\n§\n§\n§")
@example(before=f"§\n{MARKER}")
def test_hermes_reads_the_same_entries_afterwards(containers: Callable[[], Boot], before: str) -> None:
    """Whatever was in the file: the agent finds the identity, then its own entries, and may edit what it could edit."""
    before = before.replace("\0", "").encode("utf-8", "ignore").decode()
    container = containers()
    container.agent_writes(MEMORY, before)
    container.boot()
    after = container.read(MEMORY)
    own = [entry for entry in entries(before) if MARKER not in entry]
    assert entries(after)[0] == IDENTITY
    assert [entry for entry in entries(after) if MARKER not in entry] == own
    assert editable(after) or not editable(before)
    container.boot()
    assert container.read(MEMORY) == after


@pytest.mark.parametrize("shell", ["dash"])
def test_a_lock_that_stays_held_stops_the_boot(container: Boot) -> None:
    """While someone holds the lock, nothing is written, however long that is."""
    container.agent_writes(MEMORY, "likes tea")
    lock = container.agent_writes(f"{MEMORY}.lock", "")
    tools = container.directory / "tools"
    tools.mkdir()
    (tools / "sleep").write_text("#!/bin/sh\necho waited >&2\n")
    (tools / "sleep").chmod(0o755)
    container.path = f"{tools}:{container.path}"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = container.refused()
    assert said.count("waited") == 5
    assert "held by another process" in said
    assert container.read(MEMORY) == "likes tea"


def test_a_lock_that_is_let_go_is_waited_for(container: Boot) -> None:
    """A writer that holds the lock finishes first."""
    container.agent_writes(MEMORY, "half")
    with container.agent_writes(f"{MEMORY}.lock", "").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def finish() -> None:
            container.agent_writes(MEMORY, "likes tea")
            fcntl.flock(held, fcntl.LOCK_UN)

        writer = threading.Timer(0.3, finish)
        writer.start()
        container.boot()
        writer.join()
    assert container.read(MEMORY) == f"{IDENTITY}\n§\nlikes tea"


def test_an_image_without_flock_only_warns(container: Boot) -> None:
    """At boot the gateway does not run; the lock is care, not need."""
    bare = container.directory / "bare"
    bare.mkdir()
    for tool in TOOLS:
        for directory in container.path.split(":"):
            if (found := container.root.joinpath(directory, tool)).exists():
                (bare / tool).symlink_to(found)
                break
    container.path = str(bare)
    done = container.start()
    assert done.returncode == 0, done.stderr
    assert "no flock here" in done.stderr
    assert container.read(MEMORY) == IDENTITY
