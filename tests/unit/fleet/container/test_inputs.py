"""A container's inputs have the form in which Docker reads them back, and follow from registry and config only."""

import pytest

from fleet import naming
from fleet.container.credentials import credentials_of
from fleet.container.inputs import canonical_cpus, container_inputs, environment, go_duration, healthcheck
from fleet.settings import Health
from tests.support.fleet.families import make_family, make_settings


@pytest.mark.parametrize(
    ("cpus", "text"),
    [(0.1, "0.1"), (0.25, "0.25"), (0.5, "0.5"), (1, "1.0"), (1.05, "1.05"), (2, "2.0"), (10, "10."), (10.5, "10.5")],
)
def test_cpus_are_written_as_they_are_read_back(cpus: float, text: str) -> None:
    """Any other form of the same number would replace the container at every `up`."""
    assert canonical_cpus(cpus) == text


def test_limits_and_hardening_are_declared_in_full() -> None:
    """Memory comes with its swap, capabilities with their prefix, the port is on loopback only, logs are rotated."""
    inputs = container_inputs(make_family("a", resources={"memory": "1g"}), make_settings(), start=True)
    assert (inputs["memory"], inputs["memory_swap"]) == (1024, 1024)
    assert inputs["capabilities"]["drops"] == ["ALL"]
    assert set(inputs["capabilities"]["adds"]) == {
        f"CAP_{name}" for name in ("CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER", "KILL")
    }
    assert inputs["security_opts"] == ["no-new-privileges:true"]
    assert inputs["ports"] == [{"internal": 8642, "ip": "127.0.0.1", "protocol": "tcp"}]
    assert inputs["log_opts"] == {"max-file": "3", "max-size": "10m"}
    assert inputs["restart"] == "unless-stopped"
    assert (inputs["must_run"], inputs["stop_timeout"], inputs["destroy_grace_seconds"]) == (False, 30, 30)
    assert inputs["entrypoints"] == ["/bin/sh", "/opt/fleet/boot.sh"]


def test_a_sleeper_is_neither_started_nor_waited_for() -> None:
    """Start and wait go together, and a label says how the container was created."""
    for start, word in ((True, "awake"), (False, "asleep")):
        inputs = container_inputs(make_family("a"), make_settings(), start=start)
        labels = {each["label"]: each["value"] for each in inputs["labels"]}
        assert (inputs["start"], inputs["wait"], labels[naming.LABEL_START]) == (start, start, word)


def test_the_healthcheck_uses_go_durations() -> None:
    """`90s` would be read back as `1m30s` and count as a change."""
    check = healthcheck(Health(interval=90, start_interval=5))
    assert (check["interval"], check["timeout"], check["start_interval"]) == ("1m30s", "5s", "5s")
    assert "start_interval" not in healthcheck(Health())


def test_no_secret_is_in_the_environment() -> None:
    """It has flags, the line and a version; secrets are uploads."""
    settings = make_settings(env={"TOKEN": "planted"}, plugins_version="7")
    entries = environment(make_family("a", dashboard=True, supervise=False), settings)
    assert entries == sorted(entries)
    assert {entry.partition("=")[0] for entry in entries} == {
        "HERMES_DASHBOARD",
        "HERMES_FLEET_LINE",
        "HERMES_FLEET_PLUGINS_VERSION",
        "HERMES_GATEWAY_NO_SUPERVISE",
        "S6_KILL_GRACETIME",
    }
    assert not any("planted" in entry or settings.llm_api_key in entry for entry in entries)


def test_channel_secrets_change_the_digest_of_those_families_alone() -> None:
    """A new token of a channel rolls the families that have the channel, and no other."""
    with_chat, without = make_family("a", channels={"sudo_chat": True}), make_family("b")
    before, after = (make_settings(channel_env={"sudo_chat": {"TOKEN": value}}) for value in ("one", "two"))
    assert credentials_of(with_chat, before) != credentials_of(with_chat, after)
    assert credentials_of(without, before) == credentials_of(without, after)


def test_an_entry_that_the_family_has_of_its_own_is_no_credential_of_it() -> None:
    """The family's own entry wins, so another value in the stack's config changes nothing for it."""
    own, without = make_family("a", env={"HOME_CITY": "Oslo"}), make_family("b")
    before, after = (make_settings(env={"HOME_CITY": value}) for value in ("Bern", "Rome"))
    assert credentials_of(own, before) == credentials_of(own, after)
    assert credentials_of(without, before) != credentials_of(without, after)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (5, "5s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (3725, "1h2m5s"), (90_000, "25h0m0s")],
)
def test_durations_have_the_form_of_go(seconds: int, text: str) -> None:
    """Minutes and hours appear as soon as there are any, as Go prints them."""
    assert go_duration(seconds) == text
