"""What a wheel of this project holds: every module, and every file that modules read beside themselves."""

import tomllib

from tests.support.setup.machine import ROOT

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_in_the_wheel() -> None:
    """A folder with modules that is not named would be missing from an installed program."""
    tops = ("fleet", "components", "reaper")
    folders = {file.parent for top in tops for file in (ROOT / top).rglob("*.py")} | {ROOT / "templates"}
    assert {str(folder.relative_to(ROOT)).replace("/", ".") for folder in folders} == set(SETUPTOOLS["packages"])


def test_every_file_that_is_no_module_is_in_the_wheel() -> None:
    """The status page, and all that is put into a container."""
    for top in ("fleet", "components", "reaper", "templates"):
        beside = {file for file in (ROOT / top).rglob("*") if file.is_file() and file.suffix not in {".py", ".pyc"}}
        packed = {file for glob in SETUPTOOLS["package-data"].get(top, []) for file in (ROOT / top).glob(glob)}
        assert beside <= packed
