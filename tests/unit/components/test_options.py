"""The options that protect data and make a roll safe."""

import pulumi
import pytest

from components.options import container_options, volume_options


@pytest.fixture
def parent() -> pulumi.Resource:
    """Return a parent resource."""
    return pulumi.Resource.__new__(pulumi.CustomResource)


def test_a_volume_is_never_deleted_or_replaced(parent: pulumi.Resource) -> None:
    """It is retained on delete, and no change of labels or driver replaces it."""
    options = volume_options(parent, after=[])
    assert options.retain_on_delete is True
    assert set(options.ignore_changes or []) == {"labels", "driver", "driverOpts"}
    assert options.parent is parent


def test_every_change_of_a_container_replaces_it_old_one_first(parent: pulumi.Resource) -> None:
    """Two agents never write to one volume, and a failed gate is gated again."""
    options = container_options(parent, after=[], recreate=False, hooks=None)
    assert options.delete_before_replace is True
    assert options.replace_on_changes == ["*"]


def test_what_only_steers_a_create_is_never_a_change(parent: pulumi.Resource) -> None:
    """Sleep, wake, a new timeout and labels are no change; a container to be created again is."""
    steering = {"start", "wait", "waitTimeout", "destroyGraceSeconds", "labels"}
    quiet = container_options(parent, after=[], recreate=False, hooks=None)
    assert set(quiet.ignore_changes or []) == steering | {"containerReadRefreshTimeoutMilliseconds"}
    again = container_options(parent, after=[], recreate=True, hooks=None)
    assert set(again.ignore_changes or []) == steering


def test_a_family_waits_for_the_wave_before(parent: pulumi.Resource) -> None:
    """Waves are dependencies, of volumes as of containers: a family is created as a whole or not at all."""
    before = [parent, parent]
    assert volume_options(parent, after=before).depends_on == before
    assert container_options(parent, after=before, recreate=False, hooks=None).depends_on == before
