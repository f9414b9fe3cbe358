"""The reaper's settings: where they are read from, and all problems at once."""

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
    """Secrets are read from files and stripped; numbers have defaults."""
    settings = load_settings(tmp_path, told(tmp_path, LISTEN="[::1]:9000", MIN_UPTIME="10"))
    assert (settings.stack, settings.reaper_key, settings.admin_token) == ("prod", KEY, TOKEN)
    assert (settings.host, settings.port, settings.max_stops, settings.limits.min_uptime) == ("::1", 9000, 20, 10)
    assert settings.registry == Path("/etc/families.yaml")
    assert KEY not in repr(settings)
    assert TOKEN not in repr(settings)


def test_a_qualified_stack_is_reduced_to_its_name(tmp_path: Path) -> None:
    """Pulumi also accepts organization/project/name; labels hold the name alone."""
    assert load_settings(tmp_path, told(tmp_path, STACK="acme/hermes-fleet/prod")).stack == "prod"


def test_the_state_file_fills_what_the_environment_leaves_out(tmp_path: Path) -> None:
    """Relative paths in the state file start at the project."""
    state = tmp_path / ".state"
    state.mkdir()
    lines = told(tmp_path, REGISTRY="families.yaml", DB=".state/reaper.db")
    (state / "reaper.env").write_text("# written by make up\n" + "".join(f"{k}={v}\n" for k, v in lines.items()))
    (state / "reaper.env").chmod(0o600)
    settings = load_settings(tmp_path, {"HERMES_FLEET_STACK": "dev"})
    assert (settings.stack, settings.registry) == ("dev", tmp_path / "families.yaml")
    assert settings.database == tmp_path / ".state" / "reaper.db"


def test_every_problem_at_once(tmp_path: Path) -> None:
    """Missing, unreadable, too short, not a number, not an address: each is named."""
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
        "more than 21600",
    ):
        assert word in text


def test_a_state_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It holds secrets, or says where they are."""
    (tmp_path / ".state").mkdir()
    path = tmp_path / ".state" / "reaper.env"
    path.write_text("HERMES_FLEET_STACK=dev\n")
    path.chmod(0o644)
    with pytest.raises(FleetError, match="chmod 600"):
        load_settings(tmp_path, told(tmp_path))


def problems(folder: Path, **values: str) -> list[str]:
    """Return the problems of an environment."""
    with pytest.raises(FleetError) as caught:
        load_settings(folder, told(folder, **values))
    assert caught.value.__context__ is None
    return str(caught.value).splitlines()


@pytest.mark.parametrize("value", ["1_000", "+5", " 5", "5.0", "five", "true", "0x5"])
def test_a_number_is_decimal_digits_and_nothing_near_it(tmp_path: Path, value: str) -> None:
    """What Python or pydantic would read more freely is refused."""
    assert problems(tmp_path, WAVE_SIZE=value) == [f"HERMES_FLEET_WAVE_SIZE: {value!r} is not an integer"]


@pytest.mark.parametrize(
    ("name", "least"),
    [
        *((name, 1) for name in ("SWEEP_EVERY", "MAX_CRON_STARTS", "MAX_BOOTS", "WAVE_SIZE", "STOP_GRACE")),
        *((name, 1) for name in ("HEALTH_TIMEOUT", "LEDGER_DAYS")),
        *((name, 0) for name in ("MAX_STOPS", "MIN_UPTIME", "QUIET", "CRON_LEAD", "UNREAD_FOR")),
    ],
)
def test_every_number_has_its_bound(tmp_path: Path, name: str, least: int) -> None:
    """One below the least is refused, the least is accepted."""
    assert problems(tmp_path, **{name: str(least - 1)}) == [f"HERMES_FLEET_{name}: {least - 1} is less than {least}"]
    assert load_settings(tmp_path, told(tmp_path, **{name: str(least)}))


@pytest.mark.parametrize("value", ["x", ":80", "host:", "host:65536", "host:-1"])
def test_an_address_is_host_and_port(tmp_path: Path, value: str) -> None:
    """Anything else is one problem."""
    assert problems(tmp_path, LISTEN=value) == [f"HERMES_FLEET_LISTEN: {value!r} is not HOST:PORT"]


def test_nothing_else_in_the_environment_is_read(tmp_path: Path) -> None:
    """Neither the names of fields nor limits that cannot be set, nor the value of a secret."""
    others = {"HOST": "h", "PORT": "1", "DATABASE": "/d", "LIMITS": "l", "CRON_LATE": "1", "FRESH": "1", "stack": "s"}
    plain = load_settings(tmp_path, told(tmp_path))
    assert load_settings(tmp_path, told(tmp_path, **others, REAPER_KEY="x" * 32)) == plain
    (said,) = problems(tmp_path, ADMIN_TOKEN_FILE="", ADMIN_TOKEN="x" * 32)
    assert said.startswith("HERMES_FLEET_ADMIN_TOKEN_FILE: is missing; fix: ")


def test_a_secret_may_be_a_line_of_the_state_file(tmp_path: Path) -> None:
    """It is used where no file is named, and a short one is named without being repeated."""
    (tmp_path / ".state").mkdir()
    path = tmp_path / ".state" / "reaper.env"
    path.write_text(f"export HERMES_FLEET_ADMIN_TOKEN='{TOKEN}'\nHERMES_FLEET_REAPER_KEY_PREVIOUS=hunter2\n")
    path.chmod(0o600)
    assert [line.partition(";")[0] for line in problems(tmp_path, ADMIN_TOKEN_FILE="")] == [
        "HERMES_FLEET_REAPER_KEY_PREVIOUS: is shorter than 32 characters"
    ]
    path.write_text(f"export HERMES_FLEET_ADMIN_TOKEN='{TOKEN}'\n")
    assert load_settings(tmp_path, told(tmp_path, ADMIN_TOKEN_FILE="")).admin_token == TOKEN


@pytest.mark.parametrize("content", ["", " \n"])
@pytest.mark.parametrize("name", ["ADMIN_TOKEN_FILE", "REAPER_KEY_FILE", "REAPER_KEY_PREVIOUS_FILE"])
def test_an_empty_secret_is_refused(tmp_path: Path, name: str, content: str) -> None:
    """A file that was never filled is no token: anyone could send it."""
    (tmp_path / "empty").write_text(content)
    with pytest.raises(FleetError, match=f"{name}: .*is empty"):
        load_settings(tmp_path, told(tmp_path, **{name: str(tmp_path / "empty")}))


def test_an_empty_token_admits_no_one(tmp_path: Path) -> None:
    """Not even where the settings hold one, past their validation."""
    reaper = make_reaper(tmp_path, [])
    object.__setattr__(reaper.context.settings, "admin_token", "")
    assert not is_admin(reaper.context, bearer(None))
