"""A dead key is found before it is rolled out, and nothing else stops a roll."""

import io
import re
import shutil
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from fleet import naming
from fleet.rollout.key_check import KeyCheck, ask_provider, new_credentials
from fleet.settings import Llm
from tests.support.fleet.families import STACK, make_family, make_host, make_seen


class Answer(BaseHTTPRequestHandler):
    """Answers `/v1/models` with the code that the key holds."""

    def do_GET(self) -> None:
        """Answer with the code in the bearer token."""
        code = int(self.headers["Authorization"].removeprefix("Bearer "))
        self.send_response(code if self.path == "/v1/models" else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (200, "accepted"),
        (401, "refused"),
        (403, "refused"),
        (404, "unknown"),
        (500, "unknown"),
    ],
)
def test_only_401_and_403_refuse_a_key(code: int, verdict: str) -> None:
    """Other answers prove nothing about the key."""
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        answer = ask_provider(Llm("custom", "m", f"http://127.0.0.1:{server.server_port}/v1/"), str(code))
    assert answer.verdict == verdict
    assert str(server.server_port) in answer.message


def test_a_query_of_the_address_stays_behind_the_path() -> None:
    """Some gateways take their version there."""
    answer = ask_provider(Llm("custom", "m", "http://127.0.0.1:9/v1/?api-version=2"), "k")
    assert "http://127.0.0.1:9/v1/models?api-version=2 does not answer" in answer.message


def test_a_provider_that_does_not_answer_only_warns() -> None:
    """An outage of the provider does not stop a roll."""
    assert ask_provider(Llm("custom", "m", "http://127.0.0.1:9/v1"), "k").verdict == "unknown"


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl; get it with: apt-get install openssl")
def test_a_private_authority_that_the_machine_trusts_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway in a company's network refuses a dead key, too."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *options, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.handle_request, daemon=True).start()
        assert (
            ask_provider(Llm("custom", "m", f"https://127.0.0.1:{server.server_port}/v1"), "401").verdict == "refused"
        )


def test_a_missing_file_of_certificates_only_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the machine's fault, not the key's."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/missing.pem")
    assert ask_provider(Llm("custom", "m", "https://127.0.0.1:9/v1"), "k").verdict == "unknown"


def redirected(code: int, location: str) -> tuple[KeyCheck, list[str]]:
    """Return the check of a provider that redirects, and the paths that were requested."""
    asked: list[str] = []

    class Redirect(Answer):
        """Redirects `/v1/models`, and accepts any key elsewhere."""

        def do_GET(self) -> None:
            """Note the path and answer."""
            asked.append(self.path)
            self.send_response(code if self.path == "/v1/models" else 200)
            self.send_header("Location", location.format(port=server.server_port))
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Redirect) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        answer = ask_provider(Llm("custom", "m", f"http://127.0.0.1:{server.server_port}/v1"), "k")
        server.shutdown()
    return answer, asked


@pytest.mark.parametrize("code", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_not_followed(code: int) -> None:
    """The key stays with the host that was configured, and the operator is told the redirect's target."""
    answer, asked = redirected(code, "http://user:planted@localhost:{port}/planted?token=planted")
    assert asked == ["/v1/models"]
    assert answer.verdict == "unknown"
    assert re.search("redirects to 'http://localhost:[0-9]+'; the key was not sent there", answer.message)
    assert "planted" not in answer.message


@pytest.mark.parametrize("code", [300, 302])
def test_a_redirect_to_no_address_only_warns(code: int) -> None:
    """What a provider sends cannot crash a roll."""
    answer, _ = redirected(code, "http://[planted")
    assert answer.verdict == "unknown"
    assert "planted" not in answer.message


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9/modèle/v1", "http://hé..llo/v1", "http://a..b/v1"])
def test_an_address_that_cannot_be_asked_only_warns(base_url: str) -> None:
    """An address that no request can be made of is a warning, not a crash of the roll."""
    answer = ask_provider(Llm("custom", "m", base_url), "k")
    assert answer.verdict == "unknown"
    assert f"{base_url}/models cannot be asked" in answer.message


def test_a_key_that_cannot_be_sent_is_not_repeated() -> None:
    """Python's own error quotes the characters that it cannot encode."""
    answer = ask_provider(Llm("custom", "m", "http://127.0.0.1:9/v1"), "sk-€-planted")
    assert answer.verdict == "unknown"
    assert not any(part in answer.message for part in ("€", "20ac", "planted"))


def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that reaches the provider only by a proxy checks its keys, too."""
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "")
        Thread(target=server.handle_request, daemon=True).start()
        answer = ask_provider(Llm("custom", "m", "http://nowhere.invalid/v1"), "200")
    assert "nowhere.invalid/v1/models answers 500" in answer.message


def test_a_password_of_netrc_does_not_replace_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The provider is asked about the key that families would get."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        answer = ask_provider(Llm("custom", "m", f"http://127.0.0.1:{server.server_port}/v1"), "403")
    assert answer.verdict == "refused"


def test_a_provider_without_a_known_address_is_not_asked() -> None:
    """No address, no request."""
    assert ask_provider(Llm("xiaomi", "m"), "k").verdict == "unknown"


def test_credentials_are_new_where_a_family_has_others_on_its_own_container() -> None:
    """A removed family's credentials do not count: its removal gives no other family a new key."""
    family, removed = make_family("a"), make_family("b")
    inventory = make_host(
        make_seen(family, labels={naming.LABEL_CREDENTIALS: "own"}),
        make_seen(removed, labels={naming.LABEL_CREDENTIALS: "others"}),
    )
    assert new_credentials(inventory, STACK, {family.id: "new"})
    assert new_credentials(inventory, STACK, {family.id: "others", removed.id: "own"})
    assert not new_credentials(inventory, STACK, {family.id: "own"})
    assert not new_credentials(inventory, STACK, {family.id: "own", make_family("c").id: "first"})
    assert not new_credentials(make_host(), STACK, {family.id: "new"})


@pytest.mark.parametrize("base_url", [None, "https://openrouter.ai/api/v1/"])
def test_openrouter_is_asked_where_it_looks_at_the_key(base_url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lists its models for any key, so a dead one would pass there."""
    asked: list[str] = []

    def send(_: object, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        assert options["timeout"]
        asked.append(str(request.url))
        response = requests.Response()
        response.status_code, response.raw = 401, io.BytesIO()
        return response

    monkeypatch.setattr(requests.Session, "send", send)
    assert ask_provider(Llm("openrouter", "m", base_url), "dead").verdict == "refused"
    assert asked == ["https://openrouter.ai/api/v1/key"]
