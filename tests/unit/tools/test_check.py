"""The checks of `make check` on imports and on words fail where something is planted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.setup.machine import ROOT
from tools import words

PACKAGES = ("fleet", "reaper", "components", "templates")


@pytest.mark.parametrize(
    ("file", "planted", "broken"),
    [
        ("fleet/naming.py", "import fleet.cli", "fleet.naming -> fleet.cli"),
        ("reaper/store/__init__.py", "import reaper.sweep", "reaper.store -> reaper.sweep"),
        ("fleet/host/__init__.py", "import reaper", "fleet.host -> reaper"),
        ("fleet/keys.py", "import pulumi", "fleet.keys -> pulumi"),
        ("components/__init__.py", "import fleet.plan", "components -> fleet.plan"),
    ],
)
def test_an_upward_import_breaks_a_contract(tmp_path: Path, file: str, planted: str, broken: str) -> None:
    """The contracts of pyproject.toml hold on a copy of the packages."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)

    def lint() -> tuple[int, str]:
        program = Path(sys.executable).with_name("lint-imports")
        done = subprocess.run(
            [program, "--no-logo", "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    _, before = lint()
    assert "Contracts:" in before
    assert f"{broken} (l." not in before
    with (tmp_path / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{planted}\n")
    code, said = lint()
    assert code == 1
    assert f"{broken} (l." in said


@pytest.mark.parametrize("word", words.FORBIDDEN)
def test_a_forbidden_word_is_found(word: str) -> None:
    """In prose, at the start of a sentence, and as part of an identifier."""
    identifier = f"test_{word.replace(' ', '_')}_is_found"
    lines = ["fine", f"It says {word}.", f"{word.capitalize()} it says.", f"def {identifier}():"]
    assert list(words.find("docs/a.md", lines)) == [
        f"docs/a.md:2: {word}",
        f"docs/a.md:3: {word.capitalize()}",
        f"docs/a.md:4: {word.replace(' ', '_')}",
    ]


def test_what_only_contains_a_forbidden_word_is_not_found() -> None:
    """Longer words, two words that only meet, and the reason code of unmanaged containers."""
    code = "stranger"
    lines = ["recommended amendment", "schema_text, data texts", f'return "{code}"', f"the state `{code}`"]
    assert list(words.find("docs/a.md", lines)) == []
    assert list(words.find("docs/a.md", [f"a {code}"])) == [f"docs/a.md:1: {code}"]


def test_files_with_an_exception_are_not_searched() -> None:
    """Each of them is a path of the repository."""
    for allowed in words.ALLOWED_FILES:
        assert (ROOT / allowed).exists()
        assert list(words.find(f"{allowed}boot.sh" if allowed.endswith("/") else allowed, [words.FORBIDDEN[0]])) == []


def test_the_exit_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 with a line for each place, 0 and silence without any."""
    clean, planted = tmp_path / "clean.md", tmp_path / "planted.md"
    clean.write_text("fine\n")
    planted.write_text(f"{words.FORBIDDEN[0]}\n")
    assert words.main([str(clean)]) == 0
    assert capsys.readouterr().out == ""
    assert words.main([str(clean), str(planted)]) == 1
    assert capsys.readouterr().out == f"{planted}:1: {words.FORBIDDEN[0]}\n"
