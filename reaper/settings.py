"""The reaper's settings: from `HERMES_FLEET_*` in the environment, and where that is silent from `.state/reaper.env`.

Secrets are files or lines of that file, never flags: a command line can be read by everybody on the host.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleet.errors import FleetError, Problem
from fleet.naming import stack_label
from reaper.policy.facts import Limits

PREFIX = "HERMES_FLEET_"
STATE_FILE = Path(".state") / "reaper.env"
_KEY_BYTES = 32


@dataclass(frozen=True)
class ReaperSettings:
    """Everything the reaper is told. Times are in seconds."""

    stack: str
    registry: Path
    database: Path
    reaper_key: str = field(repr=False)
    admin_token: str = field(repr=False)
    previous_key: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8765
    url_host: str = "127.0.0.1"
    open_status: bool = False
    sweep_every: int = 30
    max_stops: int = 20
    max_cron_starts: int = 20
    max_boots: int = 4
    wave_size: int = 5
    stop_grace: int = 30
    health_timeout: int = 120
    ledger_days: int = 30
    limits: Limits = field(default_factory=Limits)


def load_settings(root: Path, environment: Mapping[str, str] | None = None) -> ReaperSettings:
    """Read the settings. `root` is the directory that `.state` lies in; relative paths in that file count from there.

    Raises FleetError with every problem.
    """
    reader = _Reader(root, os.environ if environment is None else environment)
    host, port = reader.listen()
    settings = ReaperSettings(
        stack=stack_label(reader.text("STACK")),
        registry=reader.path("REGISTRY"),
        database=reader.path("DB"),
        reaper_key=reader.secret("REAPER_KEY"),
        admin_token=reader.secret("ADMIN_TOKEN"),
        previous_key=reader.secret("REAPER_KEY_PREVIOUS", required=False) or None,
        host=host,
        port=port,
        url_host=reader.text("URL_HOST", "127.0.0.1"),
        open_status=reader.text("OPEN_STATUS", "0") in {"1", "true", "yes"},
        sweep_every=reader.number("SWEEP_EVERY", 30, 1),
        max_stops=reader.number("MAX_STOPS", 20, 0),
        max_cron_starts=reader.number("MAX_CRON_STARTS", 20, 1),
        max_boots=reader.number("MAX_BOOTS", 4, 1),
        wave_size=reader.number("WAVE_SIZE", 5, 1),
        stop_grace=reader.number("STOP_GRACE", 30, 1),
        health_timeout=reader.number("HEALTH_TIMEOUT", 120, 1),
        ledger_days=reader.number("LEDGER_DAYS", 30, 1),
        limits=Limits(
            min_uptime=reader.number("MIN_UPTIME", Limits.min_uptime, 0),
            quiet=reader.number("QUIET", Limits.quiet, 0),
            cron_lead=reader.number("CRON_LEAD", Limits.cron_lead, 0),
            unread_for=reader.number("UNREAD_FOR", Limits.unread_for, 0, Limits.unread_for),
        ),
    )
    if reader.problems:
        raise FleetError(reader.problems)
    return settings


class _Reader:
    """Looks a setting up in the environment, then in the state file, and collects what is wrong."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root, self._environment = root, environment
        self._file = root / STATE_FILE
        self.problems: list[Problem] = []
        self._stored = self._load()

    def _load(self) -> dict[str, str]:
        try:
            if self._file.stat().st_mode & 0o077:
                self._wrong(str(self._file), f"others can read it; mend it with: chmod 600 {self._file}")
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            self._wrong(str(self._file), f"cannot be read: {error}")
            return {}
        pairs = (line.removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#"))
        return {name.strip(): value.strip().strip("'\"") for name, sign, value in pairs if sign}

    def _wrong(self, where: str, what: str) -> None:
        self.problems.append(Problem(where, what))

    def _find(self, name: str) -> tuple[str, bool]:
        """Return a value and whether it came from the state file."""
        full = PREFIX + name
        value = self._environment.get(full, "")
        return (value, False) if value else (self._stored.get(full, ""), True)

    def text(self, name: str, default: str | None = None) -> str:
        value, _ = self._find(name)
        if not value and default is None:
            self._wrong(PREFIX + name, f"is not set; set it, or let `make up` write {self._file}")
        return value or default or ""

    def path(self, name: str) -> Path:
        value, stored = self._find(name)
        if not value:
            return Path(self.text(name))
        return self._root / value if stored else Path(value)

    def secret(self, name: str, *, required: bool = True) -> str:
        """Return the content of the file that `…_FILE` names, or the value itself from the state file."""
        held = self._stored.get(PREFIX + name, "")
        file = f"{name}_FILE"
        if not self._find(file)[0]:
            if required and not held:
                self.text(file)
            return self._checked(PREFIX + name, held)
        path = self.path(file)
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._wrong(PREFIX + file, f"{path} cannot be read: {error}")
            return ""
        if not value:
            self._wrong(PREFIX + file, f"{path} is empty")
        return self._checked(str(path), value)

    def _checked(self, where: str, value: str) -> str:
        if value and len(value) < _KEY_BYTES:
            example = secrets.token_hex(_KEY_BYTES)[:8]
            self._wrong(where, f"is shorter than {_KEY_BYTES} characters; use a random value such as {example}…")
        return value

    def number(self, name: str, default: int, least: int, most: int | None = None) -> int:
        value, _ = self._find(name)
        if not value:
            return default
        number = int(value) if value.isascii() and value.isdecimal() else -1
        if number < least or (most is not None and number > most):
            bounds = f"at least {least}" + (f" and at most {most}" if most is not None else "")
            self._wrong(PREFIX + name, f"{value!r} is not a whole number of {bounds}")
        return number

    def listen(self) -> tuple[str, int]:
        """Return host and port to listen on, written `HOST:PORT` or `[HOST]:PORT`."""
        value = self.text("LISTEN", "127.0.0.1:8765")
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the last port
            self._wrong(f"{PREFIX}LISTEN", f"{value!r} is not HOST:PORT")
            return "127.0.0.1", 0
        return host.strip("[]"), int(port)
