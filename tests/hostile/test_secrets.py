"""What callers write and hold secret is in no log, and no key is in the database.

A server that logs all it can serves calls full of marked words, good and bad
ones; then its log, and the raw bytes of its files, are searched for them.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from palimpsest.v1.documents_pb2 import UpsertDocumentRequest
from service.core.actors import ACTOR
from tests.client import connected, refused
from tests.harness import Server, running_server
from tests.hostile import contract
from tests.hostile.answers import Answer, ask
from tests.hostile.contract import Samples
from tests.hostile.peers import Peer, call_headers, frame
from tests.tally import Report, Tally
from tests.waiting import HANG_SECONDS

MARK = "Quagmire"
UPSERT = "/palimpsest.v1.Documents/UpsertDocument"


class Marked(Samples):
    """Values in which every text holds a marked word, as well as its field allows."""

    def __init__(self) -> None:
        super().__init__({})

    def value(self, field: FieldDescriptor) -> Any:
        if field.message_type is not None and field.message_type.full_name == contract.STRUCT:
            value = super().value(field)
            value.update({MARK: f"{MARK} metadata", "list": [f"{MARK} element"]})
            return value
        if field.type == FieldDescriptor.TYPE_STRING and field.name != "request_id":
            return f"{MARK}.{field.name}"
        return super().value(field)


def requests(method: MethodDescriptor) -> Iterator[Message]:
    """Requests with a marked word in each field: taken ones, and refused ones."""
    marked = Marked()
    for path in contract.paths(method.input_type):
        value = marked.value(path[-1])
        yield marked.request(method.input_type, path, [value] if path[-1].is_repeated else value)
        if isinstance(value, str):
            long = value + MARK * 2000
            yield marked.request(method.input_type, path, [long] if path[-1].is_repeated else long)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path / "data", "--log-level", "debug") as running:
        yield running


async def test_logs_hold_neither_keys_nor_what_callers_write(
    server: Server, report: Report
) -> None:
    tally = Tally("Calls full of marked words, with a log of everything")
    report(tally)
    keys = [server.key, server.create_key("--tenant", "other", "--read-only")]
    wrong = server.key[:-6] + "AAAAAA"
    codes = set()
    async with grpc.aio.insecure_channel(server.address) as channel:
        for method in contract.methods():
            batch = [
                ask(channel, method, request, key)
                for request in requests(method)
                for key in (*keys, wrong, f"{MARK}-no-key")
            ]
            answers: list[Answer] = await asyncio.gather(*batch)
            tally.operations += len(answers)
            codes |= {answer.code.name for answer in answers}
        await ask(channel, contract.methods()[0], MARK.encode() * 3, server.key)
        strange: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{MARK}/{MARK}"
        )
        with pytest.raises(grpc.RpcError):
            await strange(MARK.encode(), metadata=(("x-marked", MARK),))
        await name_actors(channel, server)
    assert codes >= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED"}
    assert server.stop() == 0

    log = server.log.read_text()
    assert log.count("/palimpsest.v1.") >= tally.operations, "not every call was logged"
    assert "Palimpsest is serving" in log
    for secret in (MARK, *keys, wrong, *(key.rpartition("_")[2] for key in keys)):
        assert not [line for line in log.splitlines() if secret in line], secret


async def name_actors(channel: grpc.aio.Channel, server: Server) -> None:
    """Calls with an actor that is marked: one that is taken, and two that are not."""
    request = UpsertDocumentRequest(content="x").SerializeToString()
    upsert: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UPSERT)
    key = ("authorization", f"Bearer {server.key}")
    await upsert(request, metadata=(key, (ACTOR, MARK)))
    with pytest.raises(grpc.RpcError):
        await upsert(request, metadata=(key, (ACTOR, MARK * 100)))
    with Peer(server.address) as peer:
        bad = (ACTOR.encode(), MARK.encode() + b"\xff")
        stream = peer.call(call_headers(UPSERT, server.key, bad), frame(request))
        assert await asyncio.to_thread(peer.wait, [stream], HANG_SECONDS)
        assert peer.status(stream) == "3"


def stored(server: Server, text: bytes) -> bool:
    """Whether the database has it; the file of the first key is not searched."""
    return bool(server.backend.matches(re.compile(re.escape(text))))


async def test_no_key_stands_in_the_database(shared_server: Server) -> None:
    server = shared_server
    keys = [server.key, server.create_key("--tenant", "other"), server.create_key("--read-only")]
    for key in keys:
        async with connected(server.address, key) as client:
            # A call that is let in has used the key, whatever it is answered.
            with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
                await client.get("nothing")
    for key in keys:
        name, secret = (part.encode() for part in key.split("_")[1:])
        assert stored(server, name), "the id of a key is no secret"
        for form in (secret, secret[::-1], base64.b64encode(secret)[:-4], secret.hex().encode()):
            assert not stored(server, form)
    assert (server.data_dir / "first-key").stat().st_mode & 0o077 == 0
