"""HTTP/1.1 by hand: bytes that no library would send, and what is answered to them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.waiting import HANG_SECONDS


@dataclass(frozen=True)
class Answer:
    """`headers` by name in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """That of the error."""
        info = next(d for d in self.json["error"]["details"] if d["@type"].endswith("ErrorInfo"))
        return str(info["reason"])

    @property
    def fields(self) -> list[str]:
        """The fields that the error names."""
        return [
            violation.get("field", "")
            for detail in self.json["error"]["details"]
            for violation in detail.get("fieldViolations", ())
        ]


@dataclass
class Caller:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    key: str | None = None

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def request(self, verb: str, target: str, body: bytes | None = None, **headers: str) -> bytes:
        """A request as bytes; names of headers are written with underscores for hyphens."""
        given = {"host": "localhost", **{n.replace("_", "-"): v for n, v in headers.items()}}
        if self.key is not None:
            given.setdefault("authorization", f"Bearer {self.key}")
        if body is not None:
            given.setdefault("content-length", str(len(body)))
            given.setdefault("content-type", "application/json")
        lines = [f"{verb} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in given.items() if v)]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")

    async def call(self, verb: str, target: str, body: Any = None, **headers: str) -> Answer:
        """Sends a request, a body that is not bytes as JSON, and returns its answer."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        await self.send(self.request(verb, target, body, **headers))
        return await self.answer(verb)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The status and headers of the next answer."""
        async with asyncio.timeout(HANG_SECONDS):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}

    async def answer(self, verb: str = "GET") -> Answer:
        """The next answer, whole."""
        status, headers = await self.head()
        body = b""
        if verb == "HEAD" or status in (204, 304) or status < 200:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while part := await self.part():
                body += part
        else:
            async with asyncio.timeout(HANG_SECONDS):
                body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(status, headers, body)

    async def part(self) -> bytes:
        """The next part of a chunked answer, empty at its end."""
        async with asyncio.timeout(HANG_SECONDS):
            size = int(await self.reader.readline(), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def ended(self) -> bytes:
        """What else is sent until the server ends the connection."""
        async with asyncio.timeout(HANG_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def calling(
    address: str, key: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Caller]:
    """A connection to "unix:path" or "host:port", whose requests have this key."""
    reader: asyncio.StreamReader
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    try:
        yield Caller(reader, writer, key)
    finally:
        writer.transport.abort()
