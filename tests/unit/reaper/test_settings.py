"""Where the reaper's settings come from, and what is wrong with them, all at once."""

from pathlib import Path

import pytest

from fleet.errors import FleetError
from reaper.http.auth import bearer, is_admin
from reaper.settings import load_settings
from tests.support.reaper.reaper import make_reaper

KEY, TOKEN = "7ea9" * 16, "ad317" * 8


def told(folder: Path, **values: str) -> dict[str, str]:
    """Return a whole environment."""
    (folder / "key").write_text(f"{KEY}\n")
    (folder / "token").write_text(TOKEN)
    found = {
        "STACK": "prod",
        "REGISTRY": "/etc/families.yaml",
        "REAPER_KEY_FILE": str(folder / "key"),
        "ADMIN_TOKEN_FILE": str(folder / "token"),
        "DB": "/var/lib/reaper.db",
        **values,
    }
    return {f"HERMES_FLEET_{name}": value for name, value in found.items()}


def test_the_environment_is_enough(tmp_path: Path) -> None:
    """Secrets are read from files, blanks around them cut; numbers have defaults."""
    settings = load_settings(tmp_path, told(tmp_path, LISTEN="[::1]:9000", MIN_UPTIME="10"))
    assert (settings.stack, settings.reaper_key, settings.admin_token) == ("prod", KEY, TOKEN)
    assert (settings.host, settings.port, settings.max_stops, settings.limits.min_uptime) == ("::1", 9000, 20, 10)
    assert settings.registry == Path("/etc/families.yaml")
    assert KEY not in repr(settings)
    assert TOKEN not in repr(settings)


def test_a_qualified_stack_is_called_as_its_labels_are(tmp_path: Path) -> None:
    """Pulumi knows a stack as organization/project/name too; the labels hold its name alone."""
    assert load_settings(tmp_path, told(tmp_path, STACK="acme/hermes-fleet/prod")).stack == "prod"


def test_what_make_up_wrote_fills_the_gaps(tmp_path: Path) -> None:
    """The state file counts where the environment is silent; its relative paths count from the project."""
    state = tmp_path / ".state"
    state.mkdir()
    lines = told(tmp_path, REGISTRY="families.yaml", DB=".state/reaper.db")
    (state / "reaper.env").write_text("# written by make up\n" + "".join(f"{k}={v}\n" for k, v in lines.items()))
    (state / "reaper.env").chmod(0o600)
    settings = load_settings(tmp_path, {"HERMES_FLEET_STACK": "dev"})
    assert (settings.stack, settings.registry) == ("dev", tmp_path / "families.yaml")
    assert settings.database == tmp_path / ".state" / "reaper.db"


def test_every_problem_at_once(tmp_path: Path) -> None:
    """Missing, unreadable, too short, not a number, not an address: each with its name."""
    (tmp_path / "short").write_text("abc")
    env = told(
        tmp_path,
        ADMIN_TOKEN_FILE=str(tmp_path / "short"),
        REAPER_KEY_FILE="/nowhere",
        STACK="",
        LISTEN="x",
        MAX_STOPS="-1",
    )
    with pytest.raises(FleetError) as caught:
        load_settings(tmp_path, env | {"HERMES_FLEET_UNREAD_FOR": "99999"})
    text = str(caught.value)
    for word in (
        "HERMES_FLEET_STACK",
        "/nowhere",
        "shorter than 32",
        "HERMES_FLEET_LISTEN",
        "MAX_STOPS",
        "at most 21600",
    ):
        assert word in text


def test_a_state_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It says where the secrets lie."""
    (tmp_path / ".state").mkdir()
    path = tmp_path / ".state" / "reaper.env"
    path.write_text("HERMES_FLEET_STACK=dev\n")
    path.chmod(0o644)
    with pytest.raises(FleetError, match="chmod 600"):
        load_settings(tmp_path, told(tmp_path))


@pytest.mark.parametrize("content", ["", " \n"])
@pytest.mark.parametrize("name", ["ADMIN_TOKEN_FILE", "REAPER_KEY_FILE", "REAPER_KEY_PREVIOUS_FILE"])
def test_an_empty_key_opens_nothing(tmp_path: Path, name: str, content: str) -> None:
    """A file that was made and never filled is no token: everybody could send it."""
    (tmp_path / "empty").write_text(content)
    with pytest.raises(FleetError, match=f"{name}: .*is empty"):
        load_settings(tmp_path, told(tmp_path, **{name: str(tmp_path / "empty")}))


def test_no_token_is_nobodys(tmp_path: Path) -> None:
    """Whatever the settings hold."""
    reaper = make_reaper(tmp_path, [], admin_token="")
    assert not is_admin(reaper.context, bearer(None))
