"""Adding a family adds one entry and changes nothing else; the file is never left broken."""

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.errors import FleetError
from fleet.hermes import threat_patterns
from fleet.registry import add_family, load_registry, load_text
from fleet.registry.edit import slug_for, with_entry

ONE = "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b01"
TWO = "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b02"
NEW = {"name": "new", "id": "aaaaaaaa-1111-4222-8333-444444444444", "display_name": "New"}
ENTRY = re.compile(r"\r?\n?[ ]*-[ ]+name: \S+\r?\n +id: \S+\r?\n +display_name: \".*\"\r?\n")

LAYOUTS = {
    "indented list": f"families:\n  - name: a\n    id: {ONE}\n",
    "list at the margin": f"families:\n- name: a\n  id: {ONE}\n",
    "wide indentation": f"families:\n    -   name: a\n        id: {ONE}\n",
    "dash on its own line": f"families:\n  -\n    name: a\n    id: {ONE}\n",
    "comments at the end": (
        f"families:\n  - name: a\n    id: {ONE} # permanent\n    # image: x\n\n    # canary: true\n\n# the end\n"
    ),
    "comment at the dash": f"families:\n  - name: a\n    id: {ONE}\n  # - name: b\n",
    "defaults before": f"# top\ndefaults:\n  timezone: UTC # ours\n\nfamilies:\n  - name: a\n    id: {ONE}\n",
    "empty value at the end": f"families:\n  - id: {ONE}\n    name: a\n    image:\n",
    "block text at the end": f"families:\n  - id: {ONE}\n    name: a\n    display_name: |\n      A\n      B\n",
    "list in the last family": f"families:\n  - id: {ONE}\n    name: a\n    toolsets:\n    - web\n# x\n",
    "brackets in the last family": f"families:\n  - id: {ONE}\n    name: a\n    toolsets: [\n      web\n    ]\n",
    "entry in braces": f"families:\n  - {{name: a, id: {ONE}}}\n",
    "alias at the end": f"defaults: {{env: &e {{A: b}}}}\nfamilies:\n  - id: {ONE}\n    name: a\n    env: *e\n",
    "anchor of one name twice": (
        f"defaults: {{env: &e {{A: b}}, config: &e {{a: b}}}}\nfamilies:\n  - name: a\n    id: {ONE}\n"
    ),
    "document mark": f"---\nfamilies:\n  - name: a\n    id: {ONE}\n",
    "byte order mark": f"\ufefffamilies:\n  - name: a\n    id: {ONE}\n",
    "windows": f"defaults: {{}}\r\nfamilies:\r\n  - name: a\r\n    id: {ONE}\r\n",
    "letters outside ASCII": (f"# Ä😀\nfamilies:\n  - name: a\n    id: {ONE}\n    display_name: Ünal 😀\n# ü\n"),
    "no line end": f"families:\n  - name: a\n    id: {ONE}",
    "blank lines between families": f"families:\n  - name: a\n    id: {ONE}\n\n  # B\n  - name: b\n    id: {TWO}\n",
}


@pytest.mark.parametrize("before", LAYOUTS.values(), ids=LAYOUTS)
def test_an_entry_is_appended_and_every_other_byte_stays(before: str, tmp_path: Path) -> None:
    """The file is what it was and one entry in the list's own indentation."""
    path = tmp_path / "families.yaml"
    path.write_bytes(before.encode())
    family = add_family(path, "The Smiths")
    text = path.read_bytes().decode()
    assert text.startswith(before)
    entry = text.removeprefix(before)
    assert ENTRY.fullmatch(entry), entry
    assert dash_column(entry) == dash_column(before)
    assert ("\r\n" in entry) == ("\r\n" in before)
    assert load_registry(path).families[-1].id == family.id


def dash_column(text: str) -> int:
    """Return how far the first dash of a list is indented."""
    found = re.search(r"^( *)-(?!-)", text, re.MULTILINE)
    assert found
    return len(found[1])


def test_blank_lines_between_families_continue(tmp_path: Path) -> None:
    """Where a blank line separates families, one separates the new one too; else none does."""
    path = tmp_path / "families.yaml"
    path.write_text(LAYOUTS["blank lines between families"])
    add_family(path, "C")
    assert f"id: {TWO}\n\n  - name: c\n" in path.read_text()
    path.write_text(f"families:\n  - name: a\n\n    id: {ONE}\n  - name: b\n    id: {TWO}\n")
    add_family(path, "C")
    assert f"id: {TWO}\n  - name: c\n" in path.read_text()


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("families: []\n", "families:\n  - name: new\n", ""),
        ("families: [] # none yet\n", "families: # none yet\n  - name: new\n", ""),
        ("families: []", "families:\n  - name: new\n", ""),
        ("families: [ ]\ndefaults: {}\n", "families:\n  - name: new\n", "defaults: {}\n"),
        ("defaults: {}\r\nfamilies: []\r\n# end", "defaults: {}\r\nfamilies:\r\n  - name: new\r\n", "\r\n# end"),
        ("\ufefffamilies: []\n", "\ufefffamilies:\n  - name: new\n", ""),
    ],
)
def test_an_empty_list_becomes_one_of_dashes(text: str, start: str, end: str, tmp_path: Path) -> None:
    """`families: []` on one line is where the first family goes."""
    path = tmp_path / "families.yaml"
    path.write_bytes(text.encode())
    add_family(path, "new")
    changed = path.read_bytes().decode()
    assert changed.startswith(start)
    assert changed.endswith(end)
    assert load_registry(path).families[-1].name == "new"


@pytest.mark.parametrize(
    "text",
    [
        "families:\n  []\n",
        "families: [\n  # none\n]\n",
        "{families: []}\n",
        f"families: [{{name: a, id: {ONE}}}]\n",
        f"families: [{{name: a, id: {ONE}}},]\n",
        f"# top\nfamilies:\n  - name: a\n    id: {ONE}\n\ndefaults:\n  timezone: UTC # ours\n",
        f"families:\r\n  - name: a\r\n    id: {ONE}\r\ndefaults: {{}}\r\n",
        f"families:\n  - name: a\n    id: {ONE}\ndefaults:\n  toolsets:\n  - web\n",
        f"---\nfamilies:\n  - name: a\n    id: {ONE}\n...\n",
        f"families:\n  - name: a\n    id: {ONE}\n\n  - name: b\n    id: {TWO}\n    display_name: |+\n      B\n",
        f"defaults: {{config: {{families: &f []}}}}\nfamilies: &g [{{name: a, id: {ONE}}}]\n",
    ],
)
def test_an_entry_for_another_layout_is_printed(text: str, tmp_path: Path) -> None:
    """Anything but a block list at the end stays as it is; the error has an entry that can be pasted."""
    path = tmp_path / "families.yaml"
    path.write_bytes(text.encode())
    with pytest.raises(FleetError, match=r"not in block style at the end of the file; fix: add there") as caught:
        add_family(path, "The Smiths")
    assert path.read_bytes().decode() == text
    _, entry = str(caught.value).split("\n", 1)
    assert entry.startswith("  - name: the-smiths\n    id: ")
    assert load_text(f"families:\n{entry}", path).families[0].display_name == "The Smiths"


@given(name=st.text(min_size=1, max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_name_comes_back_as_it_was_given(name: str, tmp_path: Path) -> None:
    """Quotes, colons, line breaks, emoji: a display name is data, and its slug is a valid one."""
    path = tmp_path / "families.yaml"
    path.write_text(f"families:\n  - name: a\n    id: {ONE}\n")
    if not name.strip() or threat_patterns.findings(name):
        return
    family = add_family(path, name)
    assert load_registry(path).get(family.name).display_name == name


@settings(deadline=None)
@given(names=st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=5))
def test_any_member_comes_back_as_it_was_written(names: list[str]) -> None:
    """Members' names and roles may have any characters."""
    good = [name for name in names if name.strip() and not threat_patterns.findings(name)]
    text = with_entry("families: []\n", NEW)
    members = "".join(f"      - {{name: {quoted(name)}, role: {quoted(name)}}}\n" for name in good)
    registry = load_text(text + (f"    members:\n{members}" if good else ""), Path("families.yaml"))
    assert [(member.name, member.role) for member in registry.families[0].members] == [(n, n) for n in good]


def quoted(text: str) -> str:
    """Return a string in YAML's double quotes, with every character escaped."""
    return '"' + "".join(f"\\U{ord(character):08X}" for character in text) + '"'


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("The Smiths", "the-smiths"),
        ("Familia García", "familia-garcia"),
        ("Müller & Søn's", "muller-sons"),
        ("Łódź  --  Straße", "lodz-strasse"),
        ("007", "007"),
        ("東京", "family"),
        ("!!!", "family"),
        ("a" * 50, "a" * 40),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_the_slug_resembles_the_name(name: str, slug: str) -> None:
    """Accents are folded, the rest becomes single dashes, and it is never too long or empty."""
    assert slug_for(name, set()) == slug


def test_a_slug_that_is_taken_gets_a_number() -> None:
    """The second Smiths are the-smiths-2; a name of full length is cut for the number."""
    assert slug_for("The Smiths", {"the-smiths"}) == "the-smiths-2"
    assert slug_for("The Smiths", {"the-smiths", "the-smiths-2"}) == "the-smiths-3"
    assert slug_for("a" * 50, {"a" * 40}) == "a" * 38 + "-2"


def test_a_name_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    """A slug such as 007 or no stays a string."""
    path = tmp_path / "families.yaml"
    path.write_text("families: []\n")
    assert [add_family(path, name).name for name in ("007", "No", "2026-01-01")] == ["007", "no", "2026-01-01"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (" ", "display_name: ' ' is blank"),
        ("x" * 201, "is longer than 200 characters"),
        ("\udcff", "display_name: '\\udcff' has a lone surrogate"),
        ("Check in with Gran", "looks like an attack to Hermes"),
    ],
)
def test_an_invalid_name_changes_nothing(name: str, problem: str, tmp_path: Path) -> None:
    """A name that the registry would refuse is refused before the file is touched."""
    path = tmp_path / "families.yaml"
    path.write_text("families: []\n")
    with pytest.raises(FleetError, match=re.escape(problem)):
        add_family(path, name)
    assert path.read_text() == "families: []\n"


def test_nothing_is_added_to_a_bad_registry(tmp_path: Path) -> None:
    """The error lists the problems; the file stays as it is."""
    path = tmp_path / "families.yaml"
    path.write_text("families: []\nfoo: 1\n")
    with pytest.raises(FleetError, match=r"families.yaml:2:1: foo: is not a key"):
        add_family(path, "The Smiths")
    assert path.read_text() == "families: []\nfoo: 1\n"


def test_a_missing_registry_says_how_to_start_one(tmp_path: Path) -> None:
    """The message has the command that makes an empty registry."""
    with pytest.raises(FleetError, match="no such file; fix: printf"):
        add_family(tmp_path / "families.yaml", "The Smiths")
    assert not list(tmp_path.iterdir())


def test_mode_and_link_stay_and_no_other_file_is_left(tmp_path: Path) -> None:
    """The file behind a symbolic link is replaced with its own mode, and the link stays a link."""
    real, link = tmp_path / "real.yaml", tmp_path / "families.yaml"
    real.write_text("families: []\n")
    real.chmod(0o640)
    link.symlink_to(real.name)
    add_family(link, "The Smiths")
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["families.yaml", "real.yaml"]
    assert load_registry(link).get("the-smiths")


def test_a_file_that_cannot_be_replaced_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a read-only directory ends in a message, without a temporary file."""
    path = tmp_path / "families.yaml"
    path.write_text("families: []\n")

    def fail(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FleetError, match=r"families.yaml: cannot be written: No space left on device"):
        add_family(path, "The Smiths")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("families.yaml", "families: []\n")]


def test_families_added_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    """Each addition waits for the lock and reads the file again."""
    path = tmp_path / "families.yaml"
    path.write_text("families: []\n")
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: add_family(path, "The Smiths"), range(16)))
    registry = load_registry(path)
    assert {family.id for family in registry.families} == {family.id for family in added}
    assert len({family.name for family in registry.families}) == 16


def test_defaults_apply_to_the_family_that_is_returned(tmp_path: Path) -> None:
    """The caller gets the family as the registry now holds it."""
    path = tmp_path / "families.yaml"
    path.write_text(
        dedent("""\
        defaults: {timezone: Europe/Rome}
        families: []
        """)
    )
    assert add_family(path, "The Smiths").timezone == "Europe/Rome"
