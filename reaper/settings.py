"""The reaper's settings: `HERMES_FLEET_*` from the environment, else from `.state/reaper.env`.

Secrets are files or lines of that file, never flags: every user of a host can read a command line.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from fleet.errors import Problem
from fleet.naming import stack_label
from fleet.registry.messages import validated, what
from reaper.policy.facts import Limits

PREFIX = "HERMES_FLEET_"
STATE_FILE = Path(".state") / "reaper.env"

_KEY_LENGTH = 32
_LAST_PORT = 65535
_PATHS = ("REGISTRY", "DB")
_SECRETS = ("REAPER_KEY", "ADMIN_TOKEN", "REAPER_KEY_PREVIOUS")
_CONFIG = ConfigDict(alias_generator=str.upper, validate_by_name=True, hide_input_in_errors=True)


def _integer(value: object) -> object:
    return int(value) if isinstance(value, str) and re.fullmatch("-?[0-9]+", value) else value


def _secret(value: str | Path) -> str:
    """Return a secret, read from its file if it has one."""
    secret, where = str(value), ""
    if isinstance(value, Path):
        try:
            secret, where = value.read_text(encoding="utf-8").strip(), f"{value} "
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{value} cannot be read: {error}") from None
    if len(secret) < _KEY_LENGTH:
        wrong = f"is shorter than {_KEY_LENGTH} characters" if secret else "is empty"
        raise ValueError(f"{where}{wrong}; fix: use a random key: openssl rand -hex 32")
    return secret


Secret = Annotated[str, BeforeValidator(_secret)]
Count = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_integer)]
CountOrZero = Annotated[int, Field(strict=True, ge=0), BeforeValidator(_integer)]
Switch = Annotated[bool, BeforeValidator(lambda value: value in {True, "1", "true", "yes"})]


@dataclass(frozen=True, config=_CONFIG)
class _Limits(Limits):
    """The limits that can be set, with their bounds. Times are in seconds."""

    min_uptime: CountOrZero = Limits.min_uptime
    quiet: CountOrZero = Limits.quiet
    cron_lead: CountOrZero = Limits.cron_lead
    unread_for: Annotated[int, Field(strict=True, ge=0, le=Limits.unread_for), BeforeValidator(_integer)] = (
        Limits.unread_for
    )


@dataclass(frozen=True, config=_CONFIG)
class ReaperSettings:
    """All settings of the reaper, validated. Times are in seconds."""

    stack: Annotated[str, AfterValidator(stack_label)]
    registry: Path
    database: Annotated[Path, Field(alias="DB")]
    reaper_key: Secret = field(repr=False)
    admin_token: Secret = field(repr=False)
    previous_key: Annotated[Secret | None, Field(alias="REAPER_KEY_PREVIOUS")] = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8765
    url_host: str = "127.0.0.1"
    open_status: Switch = False
    sweep_every: Count = 30
    max_stops: CountOrZero = 20
    max_cron_starts: Count = 20
    max_boots: Count = 4
    wave_size: Count = 5
    stop_grace: Count = 30
    health_timeout: Count = 120
    ledger_days: Count = 30
    limits: Annotated[Limits, BeforeValidator(lambda given: _Limits(**given) if isinstance(given, dict) else given)] = (
        field(default_factory=Limits)
    )


def load_settings(root: Path, environment: Mapping[str, str] | None = None) -> ReaperSettings:
    """Read and validate the settings. `root` is the directory of `.state`; relative paths in its file start there.

    Raises FleetError with every problem.
    """
    found, problems = _stored(root)
    given = _named(os.environ if environment is None else environment)
    # The value of a secret is read from the state file alone: more people can see an environment.
    found |= {name: value for name, value in given.items() if name not in _SECRETS}
    address = found.get("LISTEN", "127.0.0.1:8765")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        problems.append(Problem(f"{PREFIX}LISTEN", f"{address!r} is not HOST:PORT"))
        port = "0"
    data: dict[str, Any] = found | {"HOST": host.strip("[]"), "PORT": int(port)}
    data |= {name: Path(found[f"{name}_FILE"]) for name in _SECRETS if f"{name}_FILE" in found}
    data["LIMITS"] = {name: found[name] for name in map(str.upper, _Limits.__annotations__) if name in found}
    return validated(ReaperSettings, data, partial(_translated, root=root, data=data), problems)


def _stored(root: Path) -> tuple[dict[str, str], list[Problem]]:
    """Return the settings in the state file, if there is one, and what is wrong with the file."""
    path = root / STATE_FILE
    problems: list[Problem] = []
    try:
        if path.stat().st_mode & 0o077:
            problems.append(Problem(str(path), f"others can read it; fix: chmod 600 {path}"))
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError) as error:
        return {}, [*problems, Problem(str(path), f"cannot be read: {error}")]
    pairs = (line.removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#"))
    found = _named({name.strip(): value.strip().strip("'\"") for name, _, value in pairs})
    paths = {name: str(root / value) for name, value in found.items() if name in _PATHS or name.endswith("_FILE")}
    return found | paths, problems


def _named(values: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that are not empty, by their names without the prefix."""
    return {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX) and value}


def _translated(error: ErrorDetails, *, root: Path, data: Mapping[str, Any]) -> Problem:
    """Return one of pydantic's errors as a problem that repeats no secret."""
    name = str(error["loc"][-1])
    secret = name in _SECRETS
    message = what(error, error["loc"], ReaperSettings, hidden=secret)
    if error["type"] == "missing":
        message += f"; fix: set it, or run make up, which writes {root / STATE_FILE}"
    suffix = "_FILE" if secret and not isinstance(data.get(name), str) else ""
    return Problem(f"{PREFIX}{name}{suffix}", message)
