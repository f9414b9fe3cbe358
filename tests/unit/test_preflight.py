"""A dead key is found before it is rolled out, and nothing else stops a roll."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from fleet import identity
from fleet.preflight import Verdict, ask_provider, new_credentials
from fleet.settings import Llm
from tests.support.families import STACK, make_family, make_host, make_seen


class Answer(BaseHTTPRequestHandler):
    """Answers `/v1/models` with the code that the key spells."""

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
        (200, Verdict.ACCEPTED),
        (401, Verdict.REFUSED),
        (403, Verdict.REFUSED),
        (404, Verdict.UNKNOWN),
        (500, Verdict.UNKNOWN),
    ],
)
def test_only_401_and_403_refuse_a_key(code: int, verdict: Verdict) -> None:
    """Other answers prove nothing about the key."""
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        answer = ask_provider(Llm("custom", "m", f"http://127.0.0.1:{server.server_port}/v1/"), str(code))
    assert answer.verdict is verdict
    assert str(server.server_port) in answer.message


def test_a_provider_that_does_not_answer_only_warns() -> None:
    """An outage at the provider is no reason to hold back a roll."""
    assert ask_provider(Llm("custom", "m", "http://127.0.0.1:9/v1"), "k").verdict is Verdict.UNKNOWN


def test_a_provider_without_a_known_address_is_not_asked() -> None:
    """No address, no request."""
    assert ask_provider(Llm("xiaomi", "m"), "k").verdict is Verdict.UNKNOWN


def test_credentials_are_new_when_a_container_carries_others() -> None:
    """Only a digest that nobody declares any more makes a roll of credentials."""
    family = make_family("a")
    host = make_host(make_seen(family, labels={identity.LABEL_CREDENTIALS: "old"}))
    assert new_credentials(host, STACK, ["new"])
    assert not new_credentials(host, STACK, ["old", "new"])
    assert not new_credentials(make_host(), STACK, ["new"])
