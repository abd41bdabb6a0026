"""A receiver of webhooks, which answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.protobuf import json_format
from standardwebhooks import Webhook

from palimpsest.v1.changes_pb2 import Change
from service.core.webhooks import secret_text


@dataclass(frozen=True)
class Event:
    """A request that has come; names of headers in small letters."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def accepted(self, secret: bytes) -> dict[str, Any]:
        """Its JSON, as a receiver takes it whose clock is the real one."""
        value = Webhook(secret_text(secret)).verify(self.body, self.headers)
        assert isinstance(value, dict)
        return value

    def verified(self, secret: bytes) -> dict[str, Any]:
        """The same, whatever the clock of the test says."""
        sent = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        signature = Webhook(secret_text(secret)).sign(self.id, sent, self.body.decode())
        assert self.headers["webhook-signature"] == signature
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value

    def change(self, secret: bytes) -> Change:
        return json_format.ParseDict(self.verified(secret)["data"], Change())


Reply: TypeAlias = bytes | None
"""Bytes of an answer; None: the connection is closed without one."""


def status(code: int, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {code} X", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def ok(_: Event) -> Reply:
    return status(204)


@dataclass
class Receiver:
    """Where it listens, what has come, and how it answers."""

    port: int = 0
    events: list[Event] = field(default_factory=list)
    connections: int = 0
    answer: Callable[[Event], Awaitable[Reply]] = ok
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    hangs_up: bool = False
    """Whether it ends the connection after each answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=private"

    def replies(self, reply: Reply) -> None:
        """Answer all that comes from now on with this."""

        async def answer(_: Event) -> Reply:
            return reply

        self.answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while event := await _read(reader):
                self.events.append(event)
                reply = await self.answer(event)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
                if self.hangs_up:
                    break
        except ConnectionError:
            pass
        finally:
            self.tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        open_ones = list(receiver.tasks)
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Event | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.decode().strip().split("\r\n")
    headers = {}
    for one in rest:
        name, _, value = one.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Event(line, headers, await reader.readexactly(int(headers["content-length"])))
