"""What an audit finds, and what it leaves alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleet import naming
from fleet.cli.audit import Declared, Finding, Live, findings, read_declared, read_live
from fleet.host import ContainerSummary, Inventory
from fleet.registry import Family
from tests.support.fleet.families import STACK, make_family, make_host, make_seen
from tests.support.fleet.previews import digest, family_steps

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = "0123456789abcdef"


def healthy(family: Family) -> tuple[dict[str, Declared], Live]:
    """Return a family that runs as declared."""
    name = naming.container_name(family.id)
    seen = make_seen(family, labels={naming.LABEL_CREDENTIALS: DIGEST})
    live = Live(make_host(seen), {name: "sha256:aa"}, {f"{name}-data": MADE})
    return {name: Declared(family.name, DIGEST, "hermes:1", MADE)}, live


def kinds(declared: dict[str, Declared], live: Live, image: str | None = "sha256:aa") -> list[tuple[str, str]]:
    """Return what an audit finds, as kind and whom."""
    return [(finding.kind, finding.about) for finding in findings(declared, live, STACK, lambda _: image)]


def test_a_family_that_runs_as_declared_is_no_finding() -> None:
    """Same digest, same image, its own volume."""
    declared, live = healthy(make_family("ash"))
    assert kinds(declared, live) == []


def test_an_old_key_and_a_moved_tag_are_found() -> None:
    """The keyed digest on the label against the declared one; the image's ID against what its tag means now."""
    declared, live = healthy(make_family("ash"))
    older = {name: replace(family, credentials="f" * 16) for name, family in declared.items()}
    assert kinds(older, live) == [("old-key", "ash")]
    assert kinds(declared, live, "sha256:bb") == [("image-moved", "ash")]
    assert kinds(declared, live, None) == []


def test_unmanaged_orphans_and_undeclared_are_told_apart() -> None:
    """A name proves nothing, labels do; another stack's own family is left out."""
    declared, live = healthy(make_family("ash"))
    unknown, gone, other = make_family("unknown"), make_family("gone"), make_family("other")
    unlabelled = replace(make_seen(unknown), labels={})
    orphan = ContainerSummary("1", "hermes-user-usr_1", "running")
    others = make_seen(other, labels={naming.LABEL_STACK: "another"})
    seen = {each.name: each for each in (unlabelled, orphan, make_seen(gone), others)}
    host = replace(live.host, containers={**live.host.containers, **seen})
    assert kinds(declared, replace(live, host=host)) == [
        ("orphan", "hermes-user-usr_1"),
        ("stranger", unlabelled.name),
        ("undeclared", naming.container_name(gone.id)),
    ]


def test_a_volume_that_docker_made_in_place_of_a_lost_one_is_found() -> None:
    """Younger than Pulumi's own record of it; one that is older was adopted, and holds data."""
    family = make_family("ash")
    declared, live = healthy(family)
    volume = naming.volume_name(family.id)
    younger = replace(live, volumes_made={volume: MADE + timedelta(hours=1)})
    assert kinds(declared, younger) == [("volume-lost", "ash")]
    older = replace(live, volumes_made={volume: MADE - timedelta(days=9)})
    assert kinds(declared, older) == []
    assert kinds(declared, replace(live, host=Inventory(live.host.containers, {}))) == [("volume-lost", "ash")]


def test_a_volume_that_has_lost_its_labels_is_another_one() -> None:
    """Docker makes one without labels; a volume that was taken over never had any."""
    declared, live = healthy(make_family("ash"))
    bare = replace(live, host=Inventory(live.host.containers, {volume: {} for volume in live.host.volumes}))
    assert kinds(declared, bare) == []
    made_with = {name: replace(family, volume_labelled=True) for name, family in declared.items()}
    assert kinds(made_with, bare) == [("volume-lost", "ash")]
    assert kinds(made_with, live) == []


def test_a_time_of_another_zone_is_told_in_utc() -> None:
    """Docker tells it in the host's own."""
    family = make_family("ash")
    declared, live = healthy(family)
    made = datetime.fromisoformat("2026-03-02T10:00:00+02:00")
    (finding,) = findings(
        declared, replace(live, volumes_made={naming.volume_name(family.id): made}), STACK, lambda _: None
    )
    assert "2026-03-02 08:00 UTC" in finding.what


def test_a_volume_without_a_family_is_found() -> None:
    """Of a removed family, to be kept or purged; volumes with other names are not looked at."""
    declared, live = healthy(make_family("ash"))
    gone = make_family("gone")
    volumes = {**live.host.volumes, naming.volume_name(gone.id): {}, "hermes-user-usr_1-data": {}}
    found = kinds(declared, replace(live, host=Inventory(live.host.containers, volumes)))
    assert found == [("volume-without-family", naming.volume_name(gone.id))]


def test_declared_and_live_are_read_from_what_pulumi_and_docker_say() -> None:
    """Nanoseconds and time zones as both write them; a removed family is not declared."""
    steps = family_steps("ash")
    steps[2]["oldState"]["created"] = "2026-03-01T12:00:00.123456789Z"
    declared = read_declared(digest(steps, family_steps("birch", "delete")))
    ((name, family),) = declared.items()
    assert (family.name, family.credentials, family.image) == ("ash", DIGEST, "hermes:1")
    assert family.volume_made is not None
    assert not family.volume_labelled
    volumes: list[dict[str, str | None]] = [
        {"Name": f"{name}-data", "CreatedAt": "2026-03-01T13:00:01+01:00"},
        {"Name": "x", "CreatedAt": None},
    ]
    containers = [{"Names": [f"/{name}"], "ImageID": "sha256:aa"}]
    live = read_live(Inventory(), containers, volumes, api_version="1.42")
    assert read_live(Inventory(), [], volumes, api_version="1.41").volumes_made == {}, "Docker 20.10 tells no creation"
    assert live.image_ids == {name: "sha256:aa"}
    assert abs(live.volumes_made[f"{name}-data"] - family.volume_made) < timedelta(seconds=2)


def test_a_finding_says_what_to_do() -> None:
    """Each ends in a remedy."""
    declared, live = healthy(make_family("ash"))
    older = {name: replace(family, credentials="f" * 16) for name, family in declared.items()}
    (finding,) = findings(older, live, STACK, lambda _: None)
    assert finding == Finding("old-key", "ash", finding.what)
    assert "pulumi up" in finding.what
