"""Names and labels are the ownership contract."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import naming

FAMILY = UUID("0b9f5a3e-6c1d-4f0e-9d3a-2f6f1c0e4a77")


def test_names_come_from_the_id_without_dashes() -> None:
    """Operators and other tools rely on the names of container, volume and network."""
    assert naming.container_name(FAMILY) == "hermes-user-0b9f5a3e6c1d4f0e9d3a2f6f1c0e4a77"
    assert naming.volume_name(FAMILY) == "hermes-user-0b9f5a3e6c1d4f0e9d3a2f6f1c0e4a77-data"
    assert naming.network_name("prod") == "hermes-fleet-prod"


@given(st.uuids())
def test_a_container_name_leads_back_to_its_family(family_id: UUID) -> None:
    """Name and id convert both ways."""
    assert naming.family_id_from_name(naming.container_name(family_id)) == family_id


@pytest.mark.parametrize(
    "name", ["hermes-user-usr_1", "hermes-user-", "hermes-user-0B9F5A3E6C1D4F0E9D3A2F6F1C0E4A77", f"x{FAMILY.hex}"]
)
def test_other_names_belong_to_no_family(name: str) -> None:
    """Orphans, upper case and other names belong to no family."""
    assert naming.family_id_from_name(name) is None


def test_a_qualified_stack_is_labelled_with_its_own_name() -> None:
    """`--stack` may hold organization and project, which `pulumi.get_stack()` leaves out."""
    assert [naming.stack_label(name) for name in ("prod", "acme/prod", "acme/hermes-fleet/prod")] == ["prod"] * 3


def test_orphans_are_recognised_by_their_prefix() -> None:
    """Only the old deployment's names are orphans."""
    assert naming.is_orphan("hermes-user-usr_42")
    assert not naming.is_orphan(naming.container_name(FAMILY))


def test_ownership_takes_both_labels() -> None:
    """A container of another stack, or of another family, is not owned."""
    labels = naming.family_labels("prod", "smith", FAMILY)
    assert naming.owned_by(labels, "prod", FAMILY)
    assert not naming.owned_by(labels, "dev", FAMILY)
    assert not naming.owned_by(labels, "prod", uuid4())
    assert not naming.owned_by({}, "prod", FAMILY)
