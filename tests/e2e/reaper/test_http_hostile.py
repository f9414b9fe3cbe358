"""The HTTP API against hostile callers: every answer is an error, and the reaper goes on."""

import contextlib
import http.client
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from reaper.http import server
from tests.support.docker.recorded_docker import Recording, playing
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ADMIN_TOKEN, make_reaper, write_registry
from tests.support.reaper.reaper_http import Served, serving
from tests.support.reaper.reaper_program import Program, running

STACK = "test-hostile"
HOLDERS = 150


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Serve one family that is awake and healthy, with a low rate limit."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    monkeypatch.setattr("reaper.http.app._BURST", 30.0)
    monkeypatch.setattr("reaper.http.app._PER_SECOND", 0.01)
    monkeypatch.setattr(server, "REQUEST_SECONDS", 1.0)
    reaper = make_reaper(tmp_path, [family("ash")])
    reaper.container("ash").port = 4711
    with serving(reaper) as found:
        yield found


def answer_to(port: int, raw: bytes) -> bytes:
    """Return the answer to these bytes, empty if the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(raw)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(4096):
                found += chunk
        return found


def request(path: bytes = b"/v1/families/ash/ensure", *headers: bytes, method: bytes = b"POST") -> bytes:
    """Return a request as it goes over the wire."""
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: x", *headers, b"Connection: close", b"", b""])


def test_a_token_in_another_shape_is_no_token(served: Served) -> None:
    """Another scheme, invalid bytes, two tokens, a token that is nearly right: the same 401."""
    right = served.token("ash").encode()
    shapes = (
        b"Basic " + right,
        right,
        b"Bearer",
        b"Bearer ",
        b"Bearer \xff\xfe\x80",
        b"Bearer " + right[:-1],
        b"Bearer " + right + b"0",
        b"Bearer " + right.upper(),
        b"Bearer " + right + b" " + right,
        b"Bearer " + b"f" * 8000,
    )
    answers = {
        answer_to(served.port, request(b"/v1/families/ash/ensure", b"Authorization: " + each)) for each in shapes
    }
    assert {re.sub(rb"date: [^\r]*", b"", each) for each in answers} == {
        re.sub(rb"date: [^\r]*", b"", answer_to(served.port, request()))
    }
    assert all(each.startswith(b"HTTP/1.1 401 ") for each in answers)
    assert b" 200 " in answer_to(served.port, request(b"/v1/families/ash/ensure", b"Authorization: bearer " + right))


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/families/../families/ash/ensure",
        b"/v1/families/ash%2Fensure/ensure",
        b"/v1/families/%00/ensure",
        b"/v1/families/%ff%fe/ensure",
        b"/v1/families/ash;x/ensure",
        b"//v1/families/ash/ensure",
        b"/v1/families/" + b"a" * 5000 + b"/ensure",
        b"/v1/families/{name}/ensure",
        b"*",
    ],
)
def test_a_forged_path_is_rejected(served: Served, path: bytes) -> None:
    """With 401, 404 or 400; the server itself does not fail."""
    assert answer_to(served.port, request(path))[9:12] in {b"401", b"404", b"400"}
    assert served.reaper.engine.did("inspect") == []


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: -5",),
        (b"Content-Length: abc",),
        (b"Content-Length: 99999999999999999999",),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Bad Header: x",),
        (b"X: a\x00b",),
    ],
)
def test_invalid_framing_is_rejected(served: Served, headers: tuple[bytes, ...]) -> None:
    """A request that two parsers may read differently fails (request smuggling), even with the right token."""
    token = b"Authorization: Bearer " + served.token("ash").encode()
    found = answer_to(served.port, request(b"/v1/families/ash/heartbeat", token, *headers))
    assert found == b"" or found[9:12] in {b"400", b"413", b"501"}


def test_other_methods_are_405(served: Served) -> None:
    """For known and unknown families alike."""
    for name in (b"ash", b"oak"):
        for method in (b"GET", b"PUT", b"DELETE", b"OPTIONS"):
            found = answer_to(served.port, request(b"/v1/families/" + name + b"/ensure", method=method))
            assert found.startswith(b"HTTP/1.1 405 ")


def test_guessing_tokens_does_not_block_the_family(served: Served) -> None:
    """A caller that tries tokens gets 429; the family itself is answered from the same address."""
    statuses = {served.ask("POST", "/v1/families/ash/ensure", f"{number:064x}").status_code for number in range(40)}
    assert statuses == {401, 429}
    assert served.ask("POST", "/v1/families/ash/ensure", served.token("ash")).status_code == 200


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Run the daemon, sweeping every second over a recorded Docker API of fifty families."""
    registry = write_registry(tmp_path, [family(f"family-{number}") for number in range(50)])
    recording = Recording.all_running(STACK, registry)
    with (
        playing(recording, tmp_path) as host,
        running(tmp_path, STACK, registry, host, OPEN_STATUS="1", SWEEP_EVERY="1") as found,
    ):
        yield found


def swept_at(program: Program) -> float:
    """Return when the last complete sweep ended."""
    with urllib.request.urlopen(f"{program.url}/metrics", timeout=20) as answer:
        found = re.search(r"^hermes_reaper_last_sweep_timestamp_seconds (\S+)", answer.read().decode(), re.MULTILINE)
    assert found
    return float(found[1])


def test_the_sweep_goes_on_under_attack(program: Program) -> None:
    """Hundreds of slow clients, and others that send garbage without a pause: three sweeps later all is well."""
    over = threading.Event()

    def hold() -> None:
        """Start a request and never finish it; start again when it is dropped."""
        while not over.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", program.port), 5) as connection:
                connection.sendall(b"POST /v1/families/family-1/ensure HTTP/1.1\r\nX-Slow: ")
                over.wait(15)

    def garbage() -> None:
        large = request(b"/v1/families/family-1/heartbeat", b"Content-Length: 9000") + b"x" * 9000
        while not over.is_set():
            for raw in (b"\x16\x03\x01\x02\x00 hello\r\n\r\n", large, request(b"/v1/families/family-1/ensure")):
                with contextlib.suppress(OSError):
                    answer_to(program.port, raw)

    threads = [threading.Thread(target=hold, daemon=True) for _ in range(HOLDERS)]
    threads += [threading.Thread(target=garbage, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        seen, deadline = {swept_at(program)}, time.monotonic() + 120
        while len(seen) < 4:
            assert time.monotonic() < deadline, "it no longer sweeps"
            time.sleep(0.2)
            seen.add(swept_at(program))
            assert program.process.poll() is None, program.text
        connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=60)
        connection.request(
            "POST", "/v1/families/family-2/heartbeat", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
        )
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=30)
        program.end()
    assert "Traceback" not in program.text
