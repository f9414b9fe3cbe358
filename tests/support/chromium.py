"""Headless Chromium as a test needs it: opens a page in a window of some size, is asked what it shows, takes pictures.

Spoken to in its own protocol over a pair of pipes, which is a JSON object and a zero byte each way.
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless",
    "--no-sandbox",  # needed by root; it opens a page of our own only
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# Where Chromium reads what it is told, and writes what it answers.
_HEARS, _SAYS = 3, 4
_HIGH = 10


def find() -> str | None:
    """Return the path of Chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Browser:
    """One page in a running Chromium."""

    hears: int
    says: int
    _session: str = ""
    _number: int = 0
    _buffer: bytes = b""
    _events: list[dict[str, Any]] = field(default_factory=list)

    def begin(self) -> None:
        """Open an empty page, and hear what happens to it."""
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Tell it something and return what it answers."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self.hears, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._number:
                assert "error" not in heard, heard["error"]
                result: dict[str, Any] = heard["result"]
                return result
            self._events.append(heard)

    def open(self, url: str, *, width: int, height: int, phone: bool = False, dark: bool = False) -> None:
        """Open a page in a window of this size, and wait until it is loaded."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        told = self.tell("Page.navigate", url=url)
        assert "errorText" not in told, told
        self.wait_for("Page.loadEventFired")

    def wait_for(self, event: str) -> dict[str, Any]:
        """Return the parameters of an event, once it happens."""
        while True:
            for heard in self._events:
                if heard.get("method") == event:
                    parameters: dict[str, Any] = heard["params"]
                    return parameters
            self._events.append(self._hear())

    def ask(self, expression: str) -> Any:
        """Return the value of an expression on the page. The page's own policy does not bind it."""
        told = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def complaints(self) -> list[str]:
        """Return what the page or the browser complained of since it was opened."""
        logged = [heard["params"]["entry"]["text"] for heard in self._events if heard.get("method") == "Log.entryAdded"]
        return logged + [str(heard) for heard in self._events if heard.get("method") == "Runtime.exceptionThrown"]

    def picture(self, file: Path) -> None:
        """Write what the window shows into a PNG."""
        file.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            heard = os.read(self.says, 1 << 16)
            assert heard, "Chromium ended"
            self._buffer += heard
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextlib.contextmanager
def browser(program: str, folder: Path) -> Iterator[Browser]:
    """Run Chromium with a profile of its own, and end it."""
    heard, hears = os.pipe()
    says, said = os.pipe()
    # Out of the way of the numbers that Chromium wants.
    ends = {fcntl.fcntl(heard, fcntl.F_DUPFD_CLOEXEC, _HIGH): _HEARS}
    ends[fcntl.fcntl(said, fcntl.F_DUPFD_CLOEXEC, _HIGH)] = _SAYS
    environment: Mapping[str, str] = {**os.environ, "HOME": str(folder)}
    process = os.posix_spawn(
        program,
        [program, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
        environment,
        setpgroup=0,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(folder / "chromium.log"), os.O_WRONLY | os.O_CREAT, 0o600),
            *((os.POSIX_SPAWN_DUP2, end, number) for end, number in ends.items()),
        ],
    )
    for end in (heard, said, *ends):
        os.close(end)
    try:
        found = Browser(hears, says)
        found.begin()
        yield found
        with contextlib.suppress(AssertionError, OSError):
            found._session = ""  # the browser is told, not the page
            found.tell("Browser.close")
    finally:
        for end in (hears, says):
            os.close(end)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
