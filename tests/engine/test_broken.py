"""The tests are tested: they fail where somebody breaks a component, without the official provider, too."""

from pathlib import Path

import docker
import pytest

from tests.support.copies import copy_repository
from tests.support.nested_pytest import run_pytest
from tests.support.providers import OFFLINE, find_providers

FILE, RIGHT, WRONG = "components/options.py", "retain_on_delete=True", "retain_on_delete=False"
TEST = "tests/engine/test_roll.py::test_destroy_keeps_every_volume"


@pytest.fixture
def copy(docker_client: docker.DockerClient, stub_image: str, pulumi_cli: str, tmp_path: Path) -> Path:
    """Return a copy of the repository that shares its tools; skip where a nested run could not test anything."""
    assert docker_client
    assert stub_image
    assert pulumi_cli
    if OFFLINE not in [found.name for found in find_providers()]:
        pytest.skip("no offline docker provider, get it with: tools/offline-docker-provider/install.sh")
    return copy_repository(tmp_path / "repository")


def test_a_broken_component_fails_the_tests(copy: Path) -> None:
    """One wrong word in a component, by which a family's data would go with it, and the test of that says so."""
    text = (copy / FILE).read_text()
    assert text.count(RIGHT) == 1
    (copy / FILE).write_text(text.replace(RIGHT, WRONG))
    done = run_pytest(copy, "--timeout=240", TEST, seconds=300, FLEET_TEST_PROVIDER=OFFLINE)
    assert done.returncode == 1, done.stdout
    assert f"FAILED {TEST}" in done.stdout
    assert "no such volume" in done.stdout.lower()
