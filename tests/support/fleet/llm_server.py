"""An OpenAI-compatible server on loopback that stands in for the LLM provider.

It knows which keys it accepts, remembers which it saw, and answers every chat at once, after a delay, or when told to.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

MODEL = "test-model"
# Before it a stream carries the role and one word.
_FIRST_WORD = 2


@dataclass(frozen=True)
class Request:
    """One request that the server got: method, path, bearer key (empty for none) and JSON body."""

    method: str
    path: str
    key: str
    body: Any = field(repr=False)


class LlmServer:
    """The server as a context manager: `with LlmServer() as llm: … llm.url …`.

    `reply` is what it answers to every chat, `delay` how many seconds it thinks about it. `host` is where it listens;
    containers reach it at an address of the host's that their network leads to.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare to listen on `host`, on a free port unless one is given."""
        self.reply = "Hello from the test server."
        self.delay = 0.0
        self.requests: list[Request] = []
        self._tool_calls: list[tuple[str, dict[str, Any]]] = []
        self._answering = threading.Event()
        self._answering.set()
        self._accepted: frozenset[str] | None = None
        self._lock = threading.Lock()
        self._more: list[ThreadingHTTPServer] = []
        self._server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"llm": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def also_on(self, listening: socket.socket) -> None:
        """Serve on one more socket that listens already, one inside a container's network for instance."""
        handler = self._server.RequestHandlerClass
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
        self._more.append(server)

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to serve and close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for server in self._more:
            server.shutdown()
            server.server_close()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base URL as an LLM provider's, `/v1` included."""
        return f"http://{self._server.server_address[0]!s}:{self.port}/v1"

    def accept(self, *keys: str) -> None:
        """Answer 401 to every other key from now on; without keys accept all again."""
        self._accepted = frozenset(keys) if keys else None

    def accepts(self, key: str) -> bool:
        """Tell whether a key is good."""
        return self._accepted is None or key in self._accepted

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every chat waiting for its answer inside the block; of a stream the first word arrives."""
        self._answering.clear()
        try:
            yield
        finally:
            self._answering.set()

    def wait_to_answer(self) -> None:
        """Return once answers may be given."""
        assert self._answering.wait(300), "held for too long"

    def call_tool(self, name: str, **arguments: Any) -> None:
        """Answer the next chat that offers this tool with a call of it."""
        self._tool_calls.append((name, arguments))

    def tool_call_for(self, body: Any) -> dict[str, Any] | None:
        """Return the call that this chat is to be answered with, once."""
        offered = {tool["function"]["name"] for tool in body.get("tools") or ()}
        with self._lock:
            if not self._tool_calls or self._tool_calls[0][0] not in offered:
                return None
            name, arguments = self._tool_calls.pop(0)
        function = {"name": name, "arguments": json.dumps(arguments)}
        return {"index": 0, "id": f"call_{len(self.requests)}", "type": "function", "function": function}

    @property
    def keys_seen(self) -> list[str]:
        """Every key of every chat so far, accepted or not, in order."""
        return [request.key for request in self.chats]

    @property
    def chats(self) -> list[Request]:
        """Every chat request so far."""
        with self._lock:
            return [request for request in self.requests if request.path.endswith("/chat/completions")]

    def forget(self) -> None:
        """Forget all requests so far."""
        with self._lock:
            self.requests.clear()

    def note(self, request: Request) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(request)


class _Handler(BaseHTTPRequestHandler):
    """Answers as the server it belongs to says."""

    llm: ClassVar[LlmServer]

    def do_GET(self) -> None:
        """List the models."""
        self._note(None)
        if self.path.rstrip("/") != "/v1/models":
            self._json(HTTPStatus.NOT_FOUND, {"error": {"message": "no such path"}})
        elif self._let_in():
            self._json(HTTPStatus.OK, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        """Answer a chat, in one piece or as a stream."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self._note(body)
        if self.path.rstrip("/") != "/v1/chat/completions":
            self._json(HTTPStatus.NOT_FOUND, {"error": {"message": "no such path"}})
        elif self._let_in():
            time.sleep(self.llm.delay)
            call = self.llm.tool_call_for(body)
            if body.get("stream"):
                self._stream(body, call)
            else:
                self.llm.wait_to_answer()
                message: dict[str, Any] = {"role": "assistant", "content": None if call else self.llm.reply}
                message |= {"tool_calls": [call]} if call else {}
                choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
                self._json(HTTPStatus.OK, _completion(body, "chat.completion", [choice]))

    def _note(self, body: Any) -> None:
        self.llm.note(Request(self.command, self.path, self._key(), body))

    def _key(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _let_in(self) -> bool:
        if self.llm.accepts(self._key()):
            return True
        error = {
            "message": "Incorrect API key provided",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
        }
        self._json(HTTPStatus.UNAUTHORIZED, {"error": error})
        return False

    def _json(self, status: HTTPStatus, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, body: Any, call: dict[str, Any] | None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number, chunk in enumerate(_call_chunks(body, call) if call else _chunks(body, self.llm.reply)):
            if number == _FIRST_WORD:
                self.llm.wait_to_answer()
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Keep quiet."""


def _completion(body: Any, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {
        "id": "chatcmpl-test",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model", MODEL),
        "choices": choices,
        "usage": usage,
    }


def _chunks(body: Any, reply: str) -> Iterator[dict[str, Any]]:
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in reply.split(" ")[:1]]
    deltas += [{"content": f" {word}"} for word in reply.split(" ")[1:]]
    for delta in deltas:
        yield _completion(body, "chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": None}])
    yield _completion(body, "chat.completion.chunk", [{"index": 0, "delta": {}, "finish_reason": "stop"}])


def _call_chunks(body: Any, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for delta, reason in (({"role": "assistant", "content": None, "tool_calls": [call]}, None), ({}, "tool_calls")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        yield _completion(body, "chat.completion.chunk", [choice])
