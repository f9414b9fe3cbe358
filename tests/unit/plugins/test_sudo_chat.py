"""The chat platform between its socket and Hermes, with stubs for the classes of Hermes that it uses."""

import asyncio
import importlib.util
import json
import stat
import sys
import types
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).parent.parent.parent.parent / "plugins/sudo_chat"


@dataclass
class Config:
    """Hermes' configuration below `platforms.sudo_chat`."""

    extra: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True


class Adapter:
    """The part of Hermes' base class that the platform uses."""

    def __init__(self, config: Config, platform: str) -> None:
        """Note what came in and which states were reported."""
        self.config, self.platform = config, platform
        self.events: list[Any] = []
        self.states: list[str] = []

    def _mark_connected(self) -> None:
        self.states.append("connected")

    def _mark_disconnected(self) -> None:
        self.states.append("disconnected")

    def build_source(self, **values: Any) -> dict[str, Any]:
        """Return who wrote where."""
        return values

    async def handle_message(self, event: Any) -> None:
        """Take a message as the gateway would."""
        self.events.append(event)


def _record(**values: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(**values)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.ModuleType:
    """Load the plugin as Hermes does, from its directory."""
    modules: dict[str, dict[str, Any]] = {
        "gateway": {},
        "gateway.platforms": {},
        "gateway.config": {"Platform": str},
        "gateway.platforms.base": {
            "BasePlatformAdapter": Adapter,
            "MessageEvent": _record,
            "MessageType": _record(TEXT="text"),
            "SendResult": _record,
        },
        "hermes_constants": {"get_hermes_home": lambda: tmp_path},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("sudo_chat_under_test", PLUGIN / "__init__.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@dataclass
class Client:
    """One connection to the socket."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, **message: Any) -> None:
        """Send one line."""
        self.writer.write(json.dumps(message).encode() + b"\n")
        await self.writer.drain()

    async def hear(self) -> Any:
        """Read one line."""
        return json.loads(await asyncio.wait_for(self.reader.readline(), 5))


Scenario = Callable[[Any, Callable[[], Coroutine[Any, Any, Client]]], Coroutine[Any, Any, None]]


@pytest.fixture
def play(plugin: types.ModuleType, tmp_path: Path) -> Iterator[Callable[[Scenario], None]]:
    """Return a function that runs a scenario with a connected platform and a function that opens connections."""

    def run(scenario: Scenario) -> None:
        async def body() -> None:
            chat = plugin.SudoChat(Config())
            assert await chat.connect(is_reconnect=False)
            clients: list[Client] = []

            async def open_client() -> Client:
                clients.append(Client(*await asyncio.open_unix_connection(tmp_path / "sudo_chat.sock")))
                return clients[-1]

            await scenario(chat, open_client)
            for client in clients:
                client.writer.close()
            await chat.disconnect()
            await asyncio.sleep(0.05)

        asyncio.run(body())

    yield run
    assert not (tmp_path / "sudo_chat.sock").exists()


async def until(condition: Callable[[], object]) -> None:
    """Wait until another task has made a condition true."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)


def test_a_message_reaches_the_agent_and_its_answer_comes_back(play: Callable[[Scenario], None]) -> None:
    """With user, chat and text; the answer goes to all subscribers of that chat and to no others."""

    async def scenario(chat: Any, connect: Callable[[], Coroutine[Any, Any, Client]]) -> None:
        ann, tom, other = await connect(), await connect(), await connect()
        await tom.say(chat="kitchen")
        await other.say(chat="den")
        await ann.say(chat="kitchen", user="ann", text="Guten Morgen 👋")
        await until(lambda: chat.events)
        event = chat.events[0]
        assert event.text == "Guten Morgen 👋"
        assert (event.source["chat_id"], event.source["user_id"]) == ("kitchen", "ann")
        assert (await chat.send("kitchen", "Hello\nAnn")).success
        assert await ann.hear() == {"chat": "kitchen", "text": "Hello\nAnn"}
        assert await tom.hear() == {"chat": "kitchen", "text": "Hello\nAnn"}
        await chat.send("den", "only here")
        assert await other.hear() == {"chat": "den", "text": "only here"}

    play(scenario)


def test_messages_without_a_subscriber_are_kept(play: Callable[[Scenario], None]) -> None:
    """As those of a nightly job until the app connects in the morning. Over the limit the oldest are dropped."""

    async def scenario(chat: Any, connect: Callable[[], Coroutine[Any, Any, Client]]) -> None:
        for number in range(103):
            await chat.send("home", f"note {number}")
        client = await connect()
        await client.say(chat="home")
        heard = [(await client.hear())["text"] for _ in range(100)]
        assert heard == [f"note {number}" for number in range(3, 103)]
        client.writer.close()
        await until(lambda: "home" not in chat._listeners)
        await chat.send("home", "later")
        again = await connect()
        await again.say(chat="home")
        assert (await again.hear())["text"] == "later"

    play(scenario)


@pytest.mark.parametrize(
    "line",
    [b"no json", b"[]", b'{"chat": ""}', b'{"chat": 1}', b'{"chat": "a", "text": "x"}', b"[" * 60_000, b"\xff\xfe"],
)
def test_a_bad_line_is_answered_and_the_next_one_is_read(play: Callable[[Scenario], None], line: bytes) -> None:
    """A client's mistake ends neither its connection nor the gateway."""

    async def scenario(chat: Any, connect: Callable[[], Coroutine[Any, Any, Client]]) -> None:
        client = await connect()
        client.writer.write(line + b"\n")
        assert "error" in await client.hear()
        await client.say(chat="kitchen", user="ann", text="still there?")
        await until(lambda: chat.events)

    play(scenario)


def test_an_endless_line_ends_the_connection_only(play: Callable[[Scenario], None]) -> None:
    """A client cannot fill the agent's memory."""

    async def scenario(chat: Any, connect: Callable[[], Coroutine[Any, Any, Client]]) -> None:
        flood, ann = await connect(), await connect()
        flood.writer.write(b"x" * 200_000)
        assert await asyncio.wait_for(flood.reader.read(), 5) == b""
        await ann.say(chat="kitchen", user="ann", text="hi")
        await until(lambda: chat.events)

    play(scenario)


def test_the_socket_is_the_agents_own(play: Callable[[Scenario], None], tmp_path: Path) -> None:
    """Only the agent's user can open it."""

    async def scenario(chat: Any, _connect: Callable[[], Coroutine[Any, Any, Client]]) -> None:
        assert stat.S_IMODE((tmp_path / "sudo_chat.sock").stat().st_mode) == 0o600
        assert chat.states == ["connected"]
        assert await chat.get_chat_info("kitchen") == {"name": "kitchen", "type": "dm"}

    play(scenario)


def test_a_stale_socket_is_replaced_and_a_file_is_not(plugin: types.ModuleType, tmp_path: Path) -> None:
    """A killed gateway leaves its socket. Any other file is kept, and the platform does not connect."""

    async def body() -> None:
        first, second = plugin.SudoChat(Config()), plugin.SudoChat(Config())
        assert await first.connect()
        assert await second.connect()
        await second.disconnect()
        await first.disconnect()
        (tmp_path / "file").write_text("kept")
        third = plugin.SudoChat(Config({"socket": str(tmp_path / "file")}))
        assert not await third.connect()
        assert third.states == ["disconnected"]
        assert (tmp_path / "file").read_text() == "kept"

    asyncio.run(body())


def test_it_registers_as_hermes_expects(plugin: types.ModuleType) -> None:
    """Under the name of the registry's channel, with the variables of `.env`."""
    calls: list[dict[str, Any]] = []
    plugin.register(types.SimpleNamespace(register_platform=lambda **values: calls.append(values)))
    assert calls[0]["name"] == "sudo_chat"
    assert calls[0]["allow_all_env"] == "SUDO_CHAT_ALLOW_ALL_USERS"
    assert calls[0]["cron_deliver_env_var"] == "SUDO_CHAT_HOME_CHANNEL"
    assert calls[0]["check_fn"]()


def test_the_agents_user_can_read_the_plugin() -> None:
    """The mount is read-only and owned by the user who checked the repository out."""
    for path in (PLUGIN, *PLUGIN.iterdir()):
        if path.name != "__pycache__":
            assert path.stat().st_mode & stat.S_IROTH
            assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
