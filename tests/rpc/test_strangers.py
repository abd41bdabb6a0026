"""Every RPC, called by those who have no business with what it is about.

What a stranger learns is compared with a service in which the owner never was:
any difference, in an answer, an error, a count or a token, is a leak.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.app import running
from service.settings import Settings
from service.storage.tables import metadata
from tests.client import connected
from tests.hostile.answers import Answer, ask
from tests.hostile.contract import methods
from tests.inprocess import ManualClock, Service, running_service
from tests.rpc.asks import ASKS, OK, SECRET, Things, furnish
from tests.waiting import HANG_SECONDS

PEM = Path(__file__).parent / "tls"
READS = ("Get", "List", "Search", "Watch", "Count", "Export")
"""How the names of RPCs that change nothing begin; every other one writes."""


def name_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.name}.{method.name}"


def asks(things: Things) -> Iterator[tuple[MethodDescriptor, Message, str]]:
    """Every request, and what a key limited to another container is told."""
    for method in methods():
        for request, limited in ASKS[name_of(method)](things):
            yield method, request, limited


@dataclass(frozen=True)
class PopulatedService:
    """A service with a tenant `owner` that has things."""

    service: Service
    things: Things

    def rows(self) -> dict[str, list[str]]:
        """Every row of the owner."""
        look = self.service.backend.rows
        (owner,) = look("SELECT tenant FROM tenants WHERE name = 'owner'")
        return {
            name: sorted(
                map(repr, look(f"SELECT * FROM {name} WHERE tenant = :tenant", tenant=owner.tenant))
            )
            for name, table in metadata.tables.items()
            if "tenant" in table.c
        }


@asynccontextmanager
async def a_service() -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
        async with running_service(Path(folder), ManualClock()) as service:
            yield service


@pytest.fixture
async def populated() -> AsyncIterator[PopulatedService]:
    async with a_service() as service:
        async with connected(service.address, service.create_key(tenant="owner")) as owner:
            things = await furnish(owner)
        made = PopulatedService(service, things)
        before = made.rows()
        assert sum(map(len, before.values())) > 30
        yield made
        after = made.rows()
        # Keys are the operator's, not a caller's.
        assert {**after, "api_keys": []} == {**before, "api_keys": []}


async def answers(address: str, key: str | None, things: Things) -> dict[str, Answer]:
    """What each request is answered, in one order."""
    given = {}
    async with grpc.aio.insecure_channel(address) as channel:
        for number, (method, request, _) in enumerate(asks(things)):
            given[f"{number} {method.name} {request}"] = await ask(channel, method, request, key)
    return given


def plain(answer: Answer, things: Things) -> str:
    """An answer without what differs from one run to the next: ids, times, seals."""
    if answer.message is not None:
        _strip(answer.message)
    text = f"{answer.code} {answer.message} {answer.refusal}"
    for name in (things.document, things.memory, things.superseded, things.forgotten, things.batch):
        text = text.replace(name, "NAMED")
    return re.sub(r"\b(doc|mem|fgt|fb|[a-z]+)_[0-9A-Za-z]{22}\b", r"\1_ID", text)


def _strip(message: Any) -> None:
    for field, value in message.ListFields():
        if field.name in ("etag", "next_page_token"):
            setattr(message, field.name, "something")
        elif field.message_type is not None and field.message_type.full_name.startswith("palim"):
            for inner in value if field.is_repeated else (value,):
                _strip(inner)
        elif isinstance(value, Timestamp):
            message.ClearField(field.name)


def test_every_rpc_is_asked() -> None:
    assert {name_of(method) for method in methods()} == set(ASKS), "tests/rpc/asks.py"


async def test_another_tenant_learns_and_changes_nothing(populated: PopulatedService) -> None:
    async with a_service() as empty:
        here = await answers(
            populated.service.address,
            populated.service.create_key(tenant="stranger"),
            populated.things,
        )
        there = await answers(empty.address, empty.create_key(tenant="stranger"), populated.things)

    assert here.keys() == there.keys()
    for name, answer in here.items():
        assert plain(answer, populated.things) == plain(there[name], populated.things), name


async def test_another_tenants_thing_is_told_like_one_that_is_not_there(
    populated: PopulatedService,
) -> None:
    stranger = populated.service.create_key(tenant="stranger")
    named = await answers(populated.service.address, stranger, populated.things)
    populated.service.create_key(tenant="another")
    other = populated.service.create_key(tenant="another")
    gone = populated.things.gone()
    unnamed = await answers(populated.service.address, other, gone)

    for (name, answer), missing in zip(named.items(), unnamed.values(), strict=True):
        said = plain(answer, populated.things).replace(populated.things.custom_id, "NAMED")
        assert said == plain(missing, gone).replace(gone.custom_id, "NAMED"), name


async def test_a_read_only_key_writes_nothing(populated: PopulatedService) -> None:
    full = populated.service.create_key(tenant="owner")
    reader = populated.service.create_key(tenant="owner", read_only=True)
    async with grpc.aio.insecure_channel(populated.service.address) as channel:
        for method, request, _ in asks(populated.things):
            answer = await ask(channel, method, request, reader)
            if not method.name.startswith(READS):
                assert _said(answer) == ("PERMISSION_DENIED", "KEY_READ_ONLY"), name_of(method)
                continue
            same = await ask(channel, method, request, full)
            assert plain(answer, populated.things) == plain(same, populated.things), name_of(method)


async def test_a_key_limited_to_another_container_learns_and_changes_nothing(
    populated: PopulatedService,
) -> None:
    limited = populated.service.create_key(tenant="owner", containers=["elsewhere"])
    async with grpc.aio.insecure_channel(populated.service.address) as channel:
        for method, request, expected in asks(populated.things):
            answer = await ask(channel, method, request, limited)
            where = f"{method.name} {request} {answer}"
            assert (answer.refusal.info.reason or OK) == expected, where
            # A listing of nothing, and deletions of nothing: only the request is echoed.
            told = str(answer.message) + str(answer.refusal)
            assert SECRET not in told, where
            assert "vault" not in told, where


async def test_keys_that_are_not_valid_are_all_told_the_same(populated: PopulatedService) -> None:
    revoked = populated.service.create_key(tenant="owner")
    populated.service.revoke_key(revoked)
    good = populated.service.create_key(tenant="owner")
    bad = {
        "expired": populated.service.create_key(tenant="owner", expires_at=1),
        "revoked": revoked,
        "of nobody": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        "malformed": "pal_nonsense",
        "too long": good + "A",
        "another case": good.swapcase(),
    }
    told = set()
    for name, key in bad.items():
        for where, answer in (
            await answers(populated.service.address, key, populated.things)
        ).items():
            assert _said(answer) == ("UNAUTHENTICATED", "KEY_INVALID"), f"{name}: {where}"
            told.add(str(answer.refusal))
    assert len(told) == 1


async def test_without_a_key_nothing_is_answered(populated: PopulatedService) -> None:
    for where, answer in (await answers(populated.service.address, None, populated.things)).items():
        assert _said(answer) == ("UNAUTHENTICATED", "KEY_MISSING"), where


@pytest.mark.parametrize("certificate", [None, "stranger", "expired"])
@pytest.mark.processes
async def test_no_rpc_is_reached_without_a_right_certificate(
    tmp_path: Path, certificate: str | None
) -> None:
    settings = Settings(
        data_dir=tmp_path / "data",
        listen="127.0.0.1:0",
        tls_cert=PEM / "server.pem",
        tls_key=PEM / "server.key",
        tls_client_ca=PEM / "clients.pem",
    )
    async with running(settings) as service:
        key = service.first_key or ""
        async with grpc.aio.secure_channel(service.address, _credentials(certificate)) as channel:
            for method in methods():
                path = f"/{method.full_name.rpartition('.')[0]}/{method.name}"
                call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(
                        b"", metadata=(("authorization", f"Bearer {key}"),), timeout=HANG_SECONDS
                    )
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE, method.name
        # The same with a certificate of the authority is let in.
        async with grpc.aio.secure_channel(service.address, _credentials("current")) as channel:
            (lists,) = (method for method in methods() if method.name == "ListContainers")
            assert (await ask(channel, lists, b"", key)).ok


def _credentials(client: str | None) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        (PEM / "ca.pem").read_bytes(),
        (PEM / f"{client}.key").read_bytes() if client else None,
        (PEM / f"{client}.pem").read_bytes() if client else None,
    )


def _said(answer: Answer) -> tuple[str, str]:
    return answer.code.name, answer.refusal.info.reason
