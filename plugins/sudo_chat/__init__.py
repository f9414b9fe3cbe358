"""A chat platform for Hermes: a Unix socket in the agent's data directory, one JSON object per line.

A client sends `{"chat": "kitchen", "user": "ann", "text": "Good morning"}` and reads `{"chat": "kitchen", "text": …}`
on the same connection. Without `text` it only subscribes to the chat. Messages to a chat without subscribers are kept,
up to a limit, for the next one. A client that can open the socket is trusted to name the user. Only the agent's own
user can, so a bridge to an app runs in the container (`docker exec`) or shares its data.
"""

import asyncio
import contextlib
import json
import logging
import stat
import uuid
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from gateway.config import Platform  # type: ignore[import-not-found]  # Hermes provides it
from gateway.platforms.base import (  # type: ignore[import-not-found]
    BasePlatformAdapter,
    MessageEvent,
    MessageType,
    SendResult,
)
from hermes_constants import get_hermes_home  # type: ignore[import-not-found]

NAME = "sudo_chat"
SOCKET = "sudo_chat.sock"
LINE_LIMIT = 64 * 1024
KEPT_PER_CHAT = 100
KEPT_CHATS = 100
NAME_LIMIT = 200
# Seconds after which a client that reads nothing is disconnected; the agent must not wait for it.
CLIENT_SECONDS = 10

log = logging.getLogger(__name__)


class SudoChat(BasePlatformAdapter):  # type: ignore[misc]  # Hermes is not installed where mypy runs
    """Takes messages from the socket to the agent, and its answers back."""

    def __init__(self, config: Any) -> None:  # noqa: ANN401 - gateway.config.PlatformConfig
        """Choose the socket: `platforms.sudo_chat.extra.socket`, or one in the data directory."""
        super().__init__(config=config, platform=Platform(NAME))
        self._path = Path((config.extra or {}).get("socket") or get_hermes_home() / SOCKET)
        self._server: asyncio.AbstractServer | None = None
        self._listeners: dict[str, set[asyncio.StreamWriter]] = defaultdict(set)
        self._kept: dict[str, deque[str]] = {}

    async def connect(self, **_: object) -> bool:
        """Open the socket. Hermes 0.19 passes whether this is a reconnection, which changes nothing."""
        try:
            if self._path.is_socket():
                self._path.unlink()
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_LIMIT)
            self._path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        except OSError:
            log.exception("[%s] cannot listen on %s", NAME, self._path)
            await self.disconnect()
            return False
        self._mark_connected()
        log.info("[%s] listening on %s", NAME, self._path)
        return True

    async def disconnect(self) -> None:
        """Close the socket and every connection."""
        self._mark_disconnected()
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in {writer for writers in self._listeners.values() for writer in writers}:
            writer.close()
        self._listeners.clear()
        with contextlib.suppress(OSError):
            self._path.unlink()

    async def send(self, chat_id: str, content: str, reply_to: str | None = None, metadata: Any = None) -> Any:  # noqa: ANN401, ARG002 - as Hermes calls it
        """Send a message to all subscribers of a chat, or keep it for the first one."""
        if not await self._deliver(chat_id, content):
            self._keep(chat_id, content)
        return SendResult(success=True, message_id=uuid.uuid4().hex)

    async def get_chat_info(self, chat_id: str) -> dict[str, Any]:
        """Return what Hermes asks of a chat: its name."""
        return {"name": chat_id, "type": "dm"}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    await self._take(json.loads(line), writer)
                except (ValueError, RecursionError) as error:
                    await _write(writer, {"error": str(error)})
        except (ConnectionError, ValueError) as error:  # readline raises ValueError for a line over the limit
            log.info("[%s] connection ended: %s", NAME, error)
        finally:
            for chat in [chat for chat, writers in self._listeners.items() if writer in writers]:
                self._listeners[chat].discard(writer)
                if not self._listeners[chat]:
                    del self._listeners[chat]
            writer.close()

    async def _take(self, message: object, writer: asyncio.StreamWriter) -> None:
        """Subscribe the client, send it the kept messages, and pass its message on to the agent."""
        if not isinstance(message, dict):
            raise ValueError('expected an object such as {"chat": "kitchen", "user": "ann", "text": "Hello"}')  # noqa: TRY004 - a client's mistake
        chat, user, text = (message.get(key, "") for key in ("chat", "user", "text"))
        if not all(isinstance(value, str) for value in (chat, user, text)):
            raise ValueError("chat, user and text must be strings")
        if not 0 < len(chat) <= NAME_LIMIT or len(user) > NAME_LIMIT:
            raise ValueError(f"chat must have 1 to {NAME_LIMIT} characters, user no more")
        if text.strip() and not user:
            raise ValueError("user is missing")
        self._listeners[chat].add(writer)
        for kept in self._kept.pop(chat, ()):
            await self.send(chat, kept)
        if text.strip():
            source = self.build_source(chat_id=chat, chat_name=chat, chat_type="dm", user_id=user, user_name=user)
            event = MessageEvent(
                text=text,
                message_type=MessageType.TEXT,
                source=source,
                message_id=uuid.uuid4().hex,
                raw_message=message,
            )
            await self.handle_message(event)

    async def _deliver(self, chat: str, text: str) -> bool:
        delivered = False
        for writer in tuple(self._listeners.get(chat, ())):
            try:
                await _write(writer, {"chat": chat, "text": text})
                delivered = True
            except ConnectionError:
                self._listeners.get(chat, set()).discard(writer)
        return delivered

    def _keep(self, chat: str, text: str) -> None:
        if chat not in self._kept and len(self._kept) >= KEPT_CHATS:
            self._kept.pop(next(iter(self._kept)))
        self._kept.setdefault(chat, deque(maxlen=KEPT_PER_CHAT)).append(text)


async def _write(writer: asyncio.StreamWriter, message: dict[str, str]) -> None:
    if writer.is_closing():
        raise ConnectionResetError("the client is gone")
    writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
    try:
        await asyncio.wait_for(writer.drain(), CLIENT_SECONDS)
    except TimeoutError:
        writer.close()
        raise ConnectionResetError("the client does not read") from None


def register(ctx: Any) -> None:  # noqa: ANN401 - hermes_cli.plugins.PluginContext
    """Register the platform; Hermes calls this when it loads the plugin."""
    ctx.register_platform(
        name=NAME,
        label="Family chat",
        adapter_factory=SudoChat,
        check_fn=lambda: hasattr(asyncio, "start_unix_server"),
        is_connected=lambda config: bool(config.enabled),
        allowed_users_env="SUDO_CHAT_ALLOWED_USERS",
        allow_all_env="SUDO_CHAT_ALLOW_ALL_USERS",
        cron_deliver_env_var="SUDO_CHAT_HOME_CHANNEL",
        emoji="💬",
        allow_update_command=False,
        platform_hint="You are in the chat of the family's app. Answer in plain, short text.",
    )
