"""The reaper beside a fleet under test on real Docker: in this process, as a command, and as the daemon."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import yaml

from fleet import keys
from reaper.clock import Beat, Clock, boot_id
from reaper.context import Context, make_context
from reaper.policy.rules import Limits
from reaper.settings import ReaperSettings
from reaper.sweep.sweeper import Sweeper
from reaper.wake.waker import Waker
from tests.support.pulumi.pulumi_stack import MASTER_KEY, ROOT
from tests.support.reaper.reaper import ADMIN_TOKEN
from tests.support.reaper.reaper_program import RUN, Program, environment

REAPER_KEY = keys.reaper_key(MASTER_KEY)


class Declared(Protocol):
    """A fleet as a registry declares it."""

    families: list[dict[str, Any]]
    defaults: dict[str, Any]

    @property
    def registry(self) -> Path: ...  # noqa: D102

    def id(self, name: str) -> UUID: ...  # noqa: D102


@dataclass
class ReaperProcess:
    """A reaper with a store of its own in `folder`, for a fleet's containers of a stack."""

    stack: str
    fleet: Declared
    folder: Path
    limits: Limits = field(default_factory=lambda: Limits(min_uptime=0))
    stop_grace: int = 10
    health_timeout: int = 30
    registry: Path | None = None
    _opened: list[Context] = field(default_factory=list)

    def sleep_rules(self, **rules: dict[str, Any]) -> None:
        """Give families other rules of sleep, in a registry that only this reaper reads."""
        entries = [{**entry, "sleep": rules.get(entry["name"], {})} for entry in self.fleet.families]
        self.registry = self.folder / "families-of-the-reaper.yaml"
        self.registry.write_text(yaml.safe_dump({"defaults": self.fleet.defaults, "families": entries}))

    @property
    def settings(self) -> ReaperSettings:
        """The reaper's settings."""
        return ReaperSettings(
            stack=self.stack,
            registry=self.registry or self.fleet.registry,
            database=self.folder / "reaper.db",
            reaper_key=REAPER_KEY,
            admin_token=ADMIN_TOKEN,
            limits=self.limits,
            stop_grace=self.stop_grace,
            health_timeout=self.health_timeout,
        )

    def context(self, *, dry_run: bool = False) -> Context:
        """Return a reaper's parts in this process."""
        context = make_context(self.folder, dry_run=dry_run, settings=self.settings)
        self._opened.append(context)
        return context

    def has_watched(self, seconds: float = 86_400) -> None:
        """Let the store say that the reaper has looked without a break for that long."""
        clock, now = Clock(), time.time()
        self.context().store.set_beat(Beat(now, clock.monotonic(), boot_id(), now - seconds))

    def environment(self, **values: str) -> dict[str, str]:
        """Return the environment in which the command line finds its settings."""
        told = {
            "MIN_UPTIME": str(self.limits.min_uptime),
            "QUIET": str(self.limits.quiet),
            "CRON_LEAD": str(self.limits.cron_lead),
            "STOP_GRACE": str(self.stop_grace),
            "HEALTH_TIMEOUT": str(self.health_timeout),
            **values,
        }
        return environment(self.folder, self.stack, self.settings.registry, None, key=REAPER_KEY, **told)

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            [sys.executable, "-m", "reaper", *args],
            cwd=ROOT,
            env=self.environment(),
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )

    def reaper(self, *args: str) -> str:
        """Run the command line, which must go well, and return what it printed."""
        done = self.command(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def swept(self) -> dict[str, dict[str, str]]:
        """Sweep once by the command line, and return what was decided by name."""
        told = json.loads(self.reaper("sweep", "--json"))
        assert told["grace"] in {None, "the reaper starts"}, told["grace"]
        return {row["name"]: row for row in told["families"]}

    def why(self, name: str) -> set[str]:
        """Return every reason that `explain` gives for keeping a family awake now."""
        return {reason["reason"] for reason in json.loads(self.reaper("explain", name, "--json"))["reasons"]}

    def sweeper(self) -> Sweeper:
        """Return a sweeper in this process."""
        context = self.context()
        return Sweeper(context, Waker(context))

    def forget(self) -> None:
        """Close what was opened and let the reaper remember nothing."""
        self.close()
        for stored in self.folder.glob("reaper.db*"):
            stored.unlink()

    def close(self) -> None:
        """Close every store and connection that was opened in this process."""
        while self._opened:
            self._opened.pop().close()


@dataclass
class Daemon:
    """A reaper that runs as a program of its own, as the families' devices know it."""

    reaper_process: ReaperProcess
    program: Program

    def post(self, route: str, name: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """Post a heartbeat or an ensure with the family's own token, or another; return status and answer."""
        url = f"{self.program.url}/v1/families/{name}/{route}"
        request = urllib.request.Request(
            url, method="POST", headers={"Authorization": f"Bearer {token or self.token(name)}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def token(self, name: str) -> str:
        """Return the token of a family's devices."""
        return keys.heartbeat_token_for(REAPER_KEY, self.reaper_process.fleet.id(name))


@contextlib.contextmanager
def daemon(
    reaper_process: ReaperProcess,
    port: int,
    command: Sequence[str] = RUN,
    said: Callable[[str], None] = lambda _: None,
) -> Iterator[Daemon]:
    """Run the daemon inside the block; it sweeps every second."""
    told = reaper_process.environment(LISTEN=f"127.0.0.1:{port}", SWEEP_EVERY="1")
    program = Program(port, told, command, said)
    program.start()
    try:
        yield Daemon(reaper_process, program)
    finally:
        program.kill()
