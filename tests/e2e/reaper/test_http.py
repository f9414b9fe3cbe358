"""The HTTP API over a real socket: tokens, answers and limits."""

import contextlib
import hmac
import http.client
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from fleet import keys
from fleet.errors import FleetError
from reaper.http import server
from reaper.store import Entry
from tests.support.fleet.fleet import family
from tests.support.reaper.reaper import ADMIN_TOKEN, REAPER_KEY, make_reaper, write_registry
from tests.support.reaper.reaper_http import Served, serving
from tests.support.reaper.reaper_program import Program, environment, free_port


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Serve three families: ash awake, birch suspended, cedar without a container."""
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: True)
    monkeypatch.setattr("reaper.wake.operation._UNSEEN_SECONDS", 0.1)
    entries = [
        family("ash", display_name="<script>alert(1)</script>"),
        family("birch", state="suspended"),
        family("cedar"),
    ]
    reaper = make_reaper(tmp_path, entries, previous_key="0" * 64)
    reaper.container("ash").port = 4711
    del reaper.engine.containers[reaper.container("cedar").name]
    with serving(reaper) as found:
        yield found


def test_a_familys_token_opens_that_family_alone(served: Served) -> None:
    """Heartbeat and ensure accept its own token, of the current and the previous reaper key, and the admin token."""
    for token in (served.token("ash"), served.token("ash", "0" * 64), ADMIN_TOKEN):
        answer = served.ask("POST", "/v1/families/ash/ensure", token)
        assert answer.status_code == 200
        assert {
            "name": "ash",
            "state": "awake",
            "url": "http://127.0.0.1:4711",
            "woken": False,
        }.items() <= answer.json().items()
        assert set(answer.json()) == {"name", "state", "url", "woken", "ms"}
    beat = served.ask("POST", "/v1/families/ash/heartbeat", served.token("ash"), json={"battery": 5})
    assert beat.json()["state"] == "awake"
    ash = served.reaper.context.families.current().get("ash").id
    assert served.reaper.context.store.row(ash).heartbeat
    assert served.ask("POST", f"/v1/families/{ash}/ensure", served.token("ash")).status_code == 200


def test_every_401_is_the_same(served: Served) -> None:
    """Wrong, missing and another family's token, and an unknown family: the answers are equal to the byte."""
    answers = [
        served.ask("POST", f"/v1/families/{name}/{route}", token)
        for route in ("ensure", "heartbeat")
        for name, token in (
            ("ash", None),
            ("ash", "f" * 64),
            ("ash", served.token("cedar")),
            ("oak", served.token("ash")),
            ("oak", None),
            (str(uuid4()), "f" * 64),
            ("birch", "f" * 64),
            ("x" * 500, "f" * 64),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    headers = [{k: v for k, v in answer.headers.items() if k != "date"} for answer in answers]
    assert all(header == headers[0] for header in headers)
    assert headers[0]["www-authenticate"] == "Bearer"


def test_an_unknown_family_takes_as_much_work_as_a_wrong_token(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many keys are derived and compared, so that the time reveals nothing."""
    work: list[str] = []
    derive, compare = keys.heartbeat_token_for, hmac.compare_digest

    def derived(key: str, family_id: UUID) -> str:
        work.append("derived")
        return derive(key, family_id)

    def compared(one: bytes, other: bytes) -> bool:
        work.append("compared")
        return compare(one, other)

    monkeypatch.setattr("reaper.http.auth.keys.heartbeat_token_for", derived)
    monkeypatch.setattr("reaper.http.auth.hmac.compare_digest", compared)
    done = []
    for name, token in (("ash", "f" * 64), ("oak", "f" * 64), ("oak", None), ("ash", None)):
        work.clear()
        assert served.ask("POST", f"/v1/families/{name}/ensure", token).status_code == 401
        done.append(tuple(work))
    assert done == [("derived", "derived", "compared", "compared", "compared")] * 4


def test_states_have_statuses(served: Served) -> None:
    """409 suspended, 404 not provisioned, 503 timed out, 404 for an operator's unknown family."""
    for route in ("ensure", "heartbeat"):
        assert served.ask("POST", f"/v1/families/birch/{route}", served.token("birch")).status_code == 409
        answer = served.ask("POST", f"/v1/families/cedar/{route}", served.token("cedar"))
        assert answer.status_code == 404
        assert "pulumi up" in answer.json()["error"]
    assert served.ask("POST", "/v1/families/oak/ensure", ADMIN_TOKEN).status_code == 404


def shorten_the_timeout(served: Served) -> None:
    """Let a request for a family time out after one second."""
    served.reaper.context.settings = replace(served.reaper.context.settings, health_timeout=1)


def test_timed_out_is_503(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the agent that does not come up, with its redacted log."""
    shorten_the_timeout(served)
    monkeypatch.setattr("reaper.wake.operation.healthy", lambda *_: False)
    answer = served.ask("POST", "/v1/families/ash/ensure", served.token("ash"))
    assert answer.status_code == 503
    assert "planted-secret" not in answer.text


def test_no_boot_slot_is_503(served: Served) -> None:
    """Others hold all slots all the while; the agent was not started."""
    shorten_the_timeout(served)
    context = served.reaper.context
    settings = context.settings
    served.reaper.container("ash").state = "exited"
    assert all(context.store.acquire(f"boot:{number}", "wake", 600) for number in range(settings.max_boots))
    answer = served.ask("POST", "/v1/families/ash/ensure", served.token("ash"))
    assert answer.status_code == 503
    assert f"{settings.max_boots} others booted" in answer.json()["error"]


def test_a_daemon_that_does_not_answer_is_503(served: Served) -> None:
    """The answer says so, and nothing else about the host."""
    served.reaper.engine.fail["inspect"] = served.reaper.engine.fail["list"] = FleetError("unix:///secret/path")
    for method, path in (("POST", "/v1/families/ash/heartbeat"), ("GET", "/v1/families"), ("GET", "/")):
        answer = served.ask(method, path, ADMIN_TOKEN)
        assert answer.status_code == 503
        assert "secret" not in answer.text


def test_a_familys_history_is_selected_by_query(served: Served) -> None:
    """Its start and the number of lines, like `explain`; an invalid query is a 400 that says why."""
    ash, now = served.reaper.context.families.current().get("ash").id, served.reaper.context.clock.now()
    served.reaper.context.store.append([Entry(now - 3600 * at, ash, "keep", f"r{at}", "") for at in (3, 2, 1)])
    answer = served.ask("GET", "/v1/families/ash?since=150m&lines=1", ADMIN_TOKEN)
    assert [line["reason"] for line in answer.json()["ledger"]] == ["r2"]
    answer = served.ask("GET", "/v1/families/ash?since=lately", ADMIN_TOKEN)
    assert answer.status_code == 400
    assert "since: 'lately' is not a time" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/v1/families", "/v1/families/ash", "/metrics", "/"])
def test_operator_routes_require_the_admin_token(served: Served, path: str) -> None:
    """A family's token does not open them, nor does loopback unless the operator allows it."""
    assert served.ask("GET", path).status_code == 401
    assert served.ask("GET", path, served.token("ash")).status_code == 401
    assert served.ask("GET", path, ADMIN_TOKEN).status_code == 200
    context = served.reaper.context
    context.settings = replace(context.settings, open_status=True)
    assert served.ask("GET", path).status_code == 200
    assert served.ask("GET", path, "wrong").status_code == 401
    assert served.ask("GET", path, headers={"Host": "rebound.example"}).status_code == 401
    assert served.ask("GET", path, headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 401


def test_the_page_escapes_everything(served: Served) -> None:
    """A family's name is plain text, and the page may not run scripts."""
    answer = served.ask("GET", "/", ADMIN_TOKEN)
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "suspended" in answer.text


def test_metrics_and_health(served: Served) -> None:
    """Metrics are in Prometheus' format; the health route says ok to every caller, and nothing else."""
    served.ask("POST", "/v1/families/ash/heartbeat", served.token("ash"))
    assert "hermes_reaper_heartbeats_total 1.0" in served.ask("GET", "/metrics", ADMIN_TOKEN).text
    assert served.ask("GET", "/healthz").text == "ok\n"


def test_no_answer_holds_a_key(served: Served) -> None:
    """No operator route shows the reaper's key or any token."""
    for path in ("/v1/families", "/v1/families/ash", "/metrics", "/"):
        text = served.ask("GET", path, ADMIN_TOKEN).text
        assert not any(secret in text for secret in (REAPER_KEY, ADMIN_TOKEN, served.token("ash")))


def test_bodies_are_bounded(served: Served) -> None:
    """A large body is rejected, with its length or in chunks; a small one, JSON or not, is ignored."""
    url, token = "/v1/families/ash/heartbeat", served.token("ash")
    assert served.ask("POST", url, token, content=b"x" * 5000).status_code == 413
    assert served.ask("POST", url, token, content=iter([b"x" * 3000, b"x" * 3000])).status_code == 413
    assert served.ask("POST", url, token, content=b"{not json").status_code == 200


def test_requests_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A family that sends too many gets 429; another does not."""
    monkeypatch.setattr("reaper.http.app._BURST", 5.0)
    monkeypatch.setattr("reaper.http.app._PER_SECOND", 0.1)
    with serving(make_reaper(tmp_path, [family("ash"), family("birch")])) as served:
        answers = [served.ask("POST", "/v1/families/birch/heartbeat", ADMIN_TOKEN) for _ in range(7)]
        other = served.ask("POST", "/v1/families/ash/heartbeat", ADMIN_TOKEN)
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"]
    assert other.status_code == 200


def test_malformed_requests_are_answered(served: Served) -> None:
    """Another protocol and an endless header get a 400, and the connection is closed."""
    for raw in (b"\x16\x03\x01\x02\x00 hello\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(raw)
            with contextlib.suppress(ConnectionResetError):
                answer = connection.recv(1000)
                assert not answer or answer.startswith(b"HTTP/1.1 400")
    assert served.ask("GET", "/healthz").status_code == 200


def test_slow_requests_are_dropped(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers and bodies that come byte by byte are cut off; a request that takes the server long is not."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(server, "_CHECK_SECONDS", 0.1)
    token = served.token("ash").encode()
    body = b"POST /v1/families/ash/heartbeat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token
    for raw in (b"GET / HTTP/1.1\r\nX-Slow: ", b"", body + b"\r\nContent-Length: 100\r\n\r\nx"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=8) as connection:
            connection.sendall(raw)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1000) == b""
    served.reaper.engine.before["inspect"] = lambda: time.sleep(1)
    assert served.ask("POST", "/v1/families/ash/ensure", served.token("ash")).status_code == 200


def test_a_client_that_does_not_read_answers_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand such connections would use up the server; /healthz requires no token."""
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(server, "_CHECK_SECONDS", 0.1)

    page = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n".encode()

    def ask_on(connection: socket.socket) -> None:
        while True:
            connection.sendall(page)

    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", served.port))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask_on(connection)
        assert served.ask("GET", "/healthz").status_code == 200


def test_a_reused_connection_stays_open(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has its own time limit, so that a bridge that keeps its connection is not cut off."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", 2.0)
    monkeypatch.setattr(server, "_CHECK_SECONDS", 0.1)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    with contextlib.closing(connection):
        connection.connect()
        first = connection.sock
        for _ in range(8):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            assert connection.sock is first
            time.sleep(0.4)


def test_plain_http_is_for_loopback_alone(tmp_path: Path) -> None:
    """Another address is rejected unless a proxy in front terminates TLS."""
    reaper = make_reaper(tmp_path, [family("ash")], host="0.0.0.0")  # noqa: S104 - the address that is rejected
    with pytest.raises(FleetError, match="--behind-tls"):
        server.run(reaper.context, behind_tls=False)


def test_a_taken_address_ends_the_reaper_before_its_first_sweep(tmp_path: Path) -> None:
    """The error names the setting, the cause and the fix; a second reaper must not sweep beside the first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        reaper = make_reaper(tmp_path, [family("ash")], port=port)
        with pytest.raises(
            FleetError,
            match=f"LISTEN: cannot listen on 127.0.0.1:{port}: .*Address already in use.*; fix: end the other",
        ):
            server.run(reaper.context, behind_tls=False)
    assert not reaper.engine.calls


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_an_answer_waits_for_no_acknowledgement(host: str) -> None:
    """Each connection sends small writes at once (TCP_NODELAY)."""
    try:
        listener = server._listen(host, 0)
    except FleetError as error:
        pytest.skip(f"{error}; get it with: sysctl net.ipv6.conf.lo.disable_ipv6=0")
    with listener, socket.create_connection(listener.getsockname()[:2], timeout=20):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_accepts_connections_once_it_logs_so(tmp_path: Path) -> None:
    """A service manager's hook may wait for that line."""
    connected: list[str] = []

    def said(line: str) -> None:
        if "listening on" in line:
            with socket.create_connection(("127.0.0.1", program.port), timeout=20):
                connected.append(line)

    registry = write_registry(tmp_path, [family("ash")])
    port = free_port()
    told = environment(tmp_path, f"test-{secrets.token_hex(4)}", registry, None, LISTEN=f"127.0.0.1:{port}")
    program = Program(port, told, said=said)
    program.start()
    program.end()
    assert connected, program.text


def test_many_callers_share_one_start(served: Served) -> None:
    """Fifty concurrent requests for a sleeping family: one start, fifty answers."""
    container = served.reaper.container("ash")
    container.state = "exited"
    served.reaper.engine.before["start"] = lambda: time.sleep(0.3)
    found: list[int] = []

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.request(
            "POST", "/v1/families/ash/ensure", headers={"Authorization": f"Bearer {served.token('ash')}"}
        )
        found.append(connection.getresponse().status)
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 50
    assert served.reaper.engine.did("start") == [container.name]
