"""The tests are tested: they fail when a component is broken, also without the official provider."""

from pathlib import Path

import docker
import pytest

from tests.support.pulumi.providers import OFFLINE, find_providers
from tests.support.setup.copies import copy_repository
from tests.support.setup.nested_pytest import run_pytest

OPTIONS = "components/options.py"
# What a component does wrong: its file, the right words and the wrong ones; a test that has to notice, and how it does.
BREAKS = {
    "the data goes with its family": (
        (OPTIONS, "retain_on_delete=True", "retain_on_delete=False"),
        ("test_destroy_keeps_every_volume", "no such volume"),
    ),
    "waves do not wait": (
        (OPTIONS, "depends_on=list(after)", "depends_on=[]"),
        ("test_a_roll_goes_in_waves_with_canaries_first", "assert healthy[0] < min(created"),
    ),
}


@pytest.fixture
def copy(docker_client: docker.DockerClient, stub_image: str, pulumi_cli: str, tmp_path: Path) -> Path:
    """Return a copy of the repository that shares its tools; skip where a nested run could not test anything."""
    assert docker_client
    assert stub_image
    assert pulumi_cli
    if OFFLINE not in [found.name for found in find_providers()]:
        pytest.skip("no offline docker provider, get it with: tools/offline-docker-provider/install.sh")
    return copy_repository(tmp_path / "repository")


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_component_fails_the_tests(copy: Path, broken: str) -> None:
    """What a component does is taken out of it, and the test of what it is for says so."""
    (file, right, wrong), (test, said) = BREAKS[broken]
    text = (copy / file).read_text()
    assert right in text
    (copy / file).write_text(text.replace(right, wrong))
    selected = f"tests/engine/test_roll.py::{test}"
    done = run_pytest(copy, "--timeout=240", selected, seconds=300, FLEET_TEST_PROVIDER=OFFLINE)
    assert done.returncode == 1, done.stdout
    assert f"FAILED {selected}" in done.stdout
    assert said in done.stdout.lower()
