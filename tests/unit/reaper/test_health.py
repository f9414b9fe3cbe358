"""What counts as an answer of a healthy agent, and how long the reaper listens for one."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator

import pytest

from reaper import health

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def agent(chunks: Iterable[bytes], pause: float = 0.0) -> Iterator[int]:
    """Answer one request with these bytes, a pause before each, and close; yield the port."""
    hung_up = threading.Event()

    def answer() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.recv(4096)
            for chunk in chunks:
                hung_up.wait(pause)
                connection.sendall(chunk)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            hung_up.set()
            thread.join()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((_OK,), True),
        ((_OK[:3], _OK[3:11], _OK[11:]), True),
        ((b"HTTP/1.0 200\r\n\r\n",), True),
        ((b"HTTP/1.1 503 Service Unavailable\r\n\r\n",), False),
        ((b"HTTP/1.1 2000 OK\r\n\r\n",), False),
        ((b"HTTP/1.1 204 No Content, not 200\r\n\r\n",), False),
        ((b"SSH-2.0-x 200 OK\r\n",), False),
        ((b"\xff\xfe\x00\r\n",), False),
        ((b"\r\n",), False),
        ((), False),
    ],
)
def test_only_200_is_healthy(chunks: tuple[bytes, ...], *, expected: bool) -> None:
    """In however many pieces it comes; another status, what is no HTTP, and no answer at all are not."""
    with agent(chunks) as port:
        assert health.healthy("127.0.0.1", port) is expected


def test_a_line_without_an_end_is_not_listened_to_for_ever() -> None:
    """The reaper hangs up on an agent that floods it."""
    with agent(itertools.repeat(b"x" * 4096)) as port:
        assert not health.healthy("127.0.0.1", port)


def test_the_limit_is_for_the_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that drips its answer is not healthy, though no byte is late by itself."""
    monkeypatch.setattr(health, "_SECONDS", 0.5)
    with agent([bytes([byte]) for byte in _OK], pause=0.1) as port:
        assert not health.healthy("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"])
def test_nobody_there_is_not_healthy(host: str) -> None:
    """A port that nobody listens on and a host that cannot be are answers, too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not health.healthy(host, port)
