"""The one command that deletes data means exactly one family, and none that is still declared."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import docker
import pytest
from docker.errors import APIError
from requests.exceptions import ReadTimeout

from fleet import naming
from fleet.cli import main
from fleet.cli.purge import delete_volume, volume_to_purge
from fleet.errors import FleetError
from fleet.host import Inventory
from fleet.registry import Family, Registry
from fleet.stack_file import registry_of, stack_path
from tests.support.fleet.families import STACK, make_family, make_host, make_seen
from tests.support.reaper.reaper import write_registry

FILE = Path("families.yaml")


def left(*families: Family) -> Inventory:
    """Return a host with volumes of families, each under the name that it was created with, and no container."""
    labels = {naming.volume_name(each.id): naming.family_labels(STACK, each.name, each.id) for each in families}
    return Inventory({}, labels)


def chosen(host: Inventory, word: str, *declared: Family) -> str:
    """Return the volume that is picked for a word while these families are declared."""
    return volume_to_purge(Registry(declared, FILE), host, STACK, word)


def refusal(host: Inventory, word: str, *declared: Family) -> str:
    """Return why nothing is deleted."""
    with pytest.raises(FleetError) as caught:
        chosen(host, word, *declared)
    return str(caught.value)


def failing(error: OSError) -> docker.DockerClient:
    """Return a client that cannot remove a volume."""

    def remove_volume(_: str) -> None:
        raise error

    return cast("docker.DockerClient", SimpleNamespace(api=SimpleNamespace(remove_volume=remove_volume)))


def test_a_family_that_is_gone_is_meant_by_its_name_or_its_id() -> None:
    """Its volume carries the name it was created under, and the id in its own name."""
    gone, other = make_family("smith"), make_family("jones")
    host = left(gone, other)
    for word in ("smith", str(gone.id), gone.id.hex):
        assert chosen(host, word, other) == naming.volume_name(gone.id)


def test_a_name_means_the_family_that_has_it_now() -> None:
    """A new family has the name of one that left data: the name is refused, and the id of the data is told."""
    old, new = make_family("smith"), make_family("smith")
    said = refusal(left(old), "smith", new)
    assert "smith: still in families.yaml; remove its entry" in said
    assert said.endswith(f"name it by its id: {old.id}")
    assert chosen(left(old), str(old.id), new) == naming.volume_name(old.id)


def test_a_name_means_the_family_that_was_renamed_to_it() -> None:
    """Its own volume has the old name on its label; the other's data is not what the name means."""
    old, jones = make_family("smith"), make_family("jones")
    renamed = make_family("smith", id=str(jones.id))
    assert refusal(left(old, jones), "smith", renamed).endswith(f"name it by its id: {old.id}")


def test_an_entry_whose_data_is_its_own_is_to_be_removed_first() -> None:
    """No other data is offered where there is none, nor that of a family which is declared under another name."""
    smith, jones = make_family("smith"), make_family("jones")
    renamed = make_family("jones", id=str(smith.id))
    remove = "smith: still in families.yaml; remove its entry and run pulumi up first"
    assert refusal(left(smith), "smith", smith) == remove
    assert refusal(left(smith, jones), "smith", renamed, make_family("smith")) == remove
    assert "still in families.yaml" in refusal(left(smith), str(smith.id), smith)
    assert "still in families.yaml" in refusal(left(smith), "smith", renamed)


def test_a_container_speaks_for_its_family() -> None:
    """Until an up has removed it, the data is in use."""
    gone = make_family("smith")
    assert "still exists" in refusal(make_host(make_seen(gone, state="exited")), "smith")


def test_two_that_left_data_under_one_name_are_told_apart_by_id() -> None:
    """A name that could mean either deletes neither."""
    one, two = make_family("smith"), make_family("smith")
    said = refusal(left(one, two), "smith")
    assert str(one.id) in said
    assert str(two.id) in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (APIError("409", explanation="volume is in use"), "volume ash-data was not deleted: volume is in use"),
        (APIError("500 Server Error"), "volume ash-data was not deleted: 500 Server Error"),
        (ReadTimeout("read timed out"), "no answer whether volume ash-data was deleted (read timed out); run the same"),
    ],
)
def test_a_daemon_that_refuses_or_does_not_answer_is_a_message(error: OSError, said: str) -> None:
    """Whether data is gone is said as far as it is known."""
    with pytest.raises(FleetError) as caught:
        delete_volume(failing(error), "ash-data")
    assert said in str(caught.value)


def test_the_registry_is_the_one_that_the_stack_names(tmp_path: Path) -> None:
    """An entry in the stack's own registry keeps its data; the file need not be named."""
    assert registry_of(tmp_path, "prod") is None
    file = stack_path(tmp_path, "prod")
    file.parent.mkdir()
    file.write_text("config:\n  hermes-fleet:registry: families.prod.yaml\n")
    assert registry_of(tmp_path, "prod") == tmp_path / "families.prod.yaml"
    file.write_text("encryptionsalt: v1\n")
    assert registry_of(tmp_path, "prod") == tmp_path / "families.yaml"
    other = tmp_path / "other.yaml"
    other.write_text("config:\n  hermes-fleet:registry: /srv/families.yaml\n")
    assert registry_of(tmp_path, "prod", other) == Path("/srv/families.yaml")
    file.write_text("config: [")
    with pytest.raises(FleetError, match="cannot be read"):
        registry_of(tmp_path, "prod")


def test_purge_asks_the_registry_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run beside another registry, it refuses to delete the data of a family that the stack declares."""
    family = make_family("nguyen")
    write_registry(tmp_path, [{"name": "nguyen", "id": str(family.id)}]).rename(tmp_path / "families.prod.yaml")
    write_registry(tmp_path, [])
    file = stack_path(tmp_path, "prod")
    file.parent.mkdir()
    file.write_text("config:\n  hermes-fleet:registry: families.prod.yaml\n")
    volumes = {naming.volume_name(family.id): naming.family_labels("prod", "nguyen", family.id)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HERMES_FLEET_PROJECT", "")
    (tmp_path / "Pulumi.yaml").write_text("name: hermes-fleet\n")
    monkeypatch.setattr("fleet.host.connect", lambda: SimpleNamespace(api=None, close=lambda: None))
    monkeypatch.setattr("fleet.host.list_fleet", lambda _: Inventory({}, volumes))
    monkeypatch.setattr("fleet.cli.purge.delete_volume", lambda *_: pytest.fail("deleted"))
    assert main(["purge", "nguyen", "--yes", "nguyen", "--stack", "acme/prod"]) == 1
    assert re.search(r"still in .*families\.prod\.yaml", capsys.readouterr().err)
