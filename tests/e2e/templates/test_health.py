"""health.sh asks the agent's API on loopback, with whatever tool the image has."""

import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.support.fleet.boot import SHELLS, TEMPLATES

TOOLS = ["curl", "wget", "python3"]


class Answers(http.server.BaseHTTPRequestHandler):
    """A gateway that answers as its server is told to."""

    def do_GET(self) -> None:
        """Answer `/health` with the server's status, anything else with 404."""
        status: int = getattr(self.server, "status") if self.path == "/health" else HTTPStatus.NOT_FOUND  # noqa: B009
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"status": "ok",\n "platform": "hermes-agent"}' + b"." * 1000)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    """Serve on a free port; the scripts under test are pointed at it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as found:
        found.status = HTTPStatus.OK  # type: ignore[attr-defined]
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the agent's data directory, in which it keeps programs of its own."""
    found = tmp_path / "data"
    (found / ".local" / "bin").mkdir(parents=True)
    return found


def ask(tmp_path: Path, port: int, tool: str, shell: str = "dash") -> subprocess.CompletedProcess[str]:
    """Run health.sh against a port in an image that has only one tool to ask with, beside what is in the data."""
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    if tool in TOOLS and not shutil.which(tool):
        pytest.skip(f"no {tool}; get it with: apt-get install {tool}")
    for name in ("tr", "head", tool):
        if found := sys.executable if name == "python3" else shutil.which(name):
            (tools / name).unlink(missing_ok=True)
            (tools / name).symlink_to(found)
    script = tmp_path / "health.sh"
    script.write_text((TEMPLATES / "health.sh").read_text().replace(":8642/", f":{port}/"))
    program, *arguments = shell.split()
    return subprocess.run(
        [str(shutil.which(program)), *arguments, str(script)],
        env={
            "PATH": f"{tmp_path}/data/.local/bin:{tools}",
            "HERMES_HOME": f"{tmp_path}/data",
            "HOME": f"{tmp_path}/data",
            "WGETRC": f"{tmp_path}/data/.wgetrc",
            "http_proxy": "http://127.0.0.1:9",
            "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_an_answer_is_health(tmp_path: Path, server: http.server.HTTPServer, tool: str) -> None:
    """Exit 0 and the answer on one short line, a proxy of the environment notwithstanding."""
    done = ask(tmp_path, server.server_address[1], tool)
    assert done.returncode == 0
    assert done.stdout.startswith('{"status": "ok", "platform": "hermes-agent"}')
    assert len(done.stdout) <= 301
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("tool", TOOLS)
def test_an_error_is_not_health(tmp_path: Path, server: http.server.HTTPServer, tool: str) -> None:
    """Exit 1 where the gateway answers, but not with success."""
    server.status = HTTPStatus.SERVICE_UNAVAILABLE  # type: ignore[attr-defined]
    done = ask(tmp_path, server.server_address[1], tool)
    assert done.returncode == 1
    assert "no answer from http://127.0.0.1" in done.stdout


@pytest.mark.parametrize("tool", TOOLS)
def test_a_closed_port_is_not_health(tmp_path: Path, tool: str) -> None:
    """Exit 1 where nothing listens."""
    done = ask(tmp_path, 1, tool)
    assert done.returncode == 1
    assert "no answer from" in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_an_agent_cannot_answer_for_its_own_health(tmp_path: Path, home: Path, shell: str) -> None:
    """A program of the agent's that comes first on the search path is not run, by root of all users."""
    for name in (*TOOLS, "tr", "head"):
        program = home / ".local" / "bin" / name
        program.write_text(f"#!/bin/sh\necho ran >{tmp_path}/ran\n")
        program.chmod(0o755)
    assert ask(tmp_path, 1, "curl", shell).returncode == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("tool", "settings"), [("curl", ".curlrc"), ("wget", ".wgetrc")])
def test_settings_of_the_agent_do_not_count(
    tmp_path: Path, home: Path, server: http.server.HTTPServer, tool: str, settings: str
) -> None:
    """In an image whose HOME is the data directory, a tool that root runs does not do what the agent wrote there."""
    (home / settings).write_text(
        "http_proxy = http://127.0.0.1:9\n" if tool == "wget" else f"output = {tmp_path}/ran\n"
    )
    assert ask(tmp_path, server.server_address[1], tool).stdout.startswith('{"status": "ok"')
    assert not (tmp_path / "ran").exists()


def test_busybox_ash_runs_it_too(tmp_path: Path, server: http.server.HTTPServer) -> None:
    """Its shell agrees with dash about the answer and about the exit code."""
    done = ask(tmp_path, server.server_address[1], "curl", "busybox ash")
    assert (done.returncode, done.stdout[:15]) == (0, '{"status": "ok"')
    server.status = HTTPStatus.BAD_GATEWAY  # type: ignore[attr-defined]
    assert ask(tmp_path, server.server_address[1], "curl", "busybox ash").returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user; run it as root")
def test_who_is_not_root_has_nothing_to_guard() -> None:
    """On a host a developer owns one directory of the search path, and root the others, which still count."""
    script = (TEMPLATES / "health.sh").read_text().replace(":8642/", ":1/")
    with tempfile.TemporaryDirectory() as own:
        os.chown(own, 65534, 65534)
        env = {"PATH": f"{own}:{os.defpath}"}
        done = subprocess.run(
            ["/bin/sh"], input=script, user=65534, env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "no answer from http://127.0.0.1:1/health" in done.stdout


def test_an_image_without_tools_says_so(tmp_path: Path) -> None:
    """The reason stands in Docker's health log."""
    done = ask(tmp_path, 1, "absent-tool")
    assert done.returncode == 1
    assert "no curl, wget or python3" in done.stdout
