"""Every method of the contract: what it is called, and what answers it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from service.ports.search import Searcher
from service.ports.store import Store
from service.rpc.access import ACCESS, Access
from service.rpc.calls import CallInfo, Handler
from service.rpc.changes import Changes
from service.rpc.containers import Containers
from service.rpc.contract import SERVICES
from service.rpc.documents import Documents
from service.rpc.idempotency import IdempotencyGuard
from service.rpc.memories import Memories


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `handler` answers a message, or writes to the stream of its call."""

    path: str
    descriptor: MethodDescriptor
    parse: Callable[[bytes], Message]
    handler: Handler
    access: Access

    async def answer(self, call: CallInfo, request: bytes) -> bytes:
        """The serialized response of an offloadable method, which needs no transport."""
        handler: Any = self.handler
        raw: bytes = (await handler(call, self.parse(request))).SerializeToString()
        return raw


def python_name(method: str) -> str:
    """The servicer's method for an RPC: GetDocument is get_document."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()


def methods_of(store: Store, searcher: Searcher) -> list[Method]:
    """All methods, on this store and what finds things in it."""
    idempotency = IdempotencyGuard(store.digester)
    servicers: dict[str, object] = {
        "Documents": Documents(store, searcher, idempotency),
        "Memories": Memories(store, searcher, idempotency),
        "Containers": Containers(store, idempotency),
        "Changes": Changes(store),
    }
    return [
        _method(method, servicers[service.name])
        for service in SERVICES
        for method in service.methods
    ]


def _method(method: MethodDescriptor, servicer: object) -> Method:
    service: Any = method.containing_service
    return Method(
        f"/{service.full_name}/{method.name}",
        method,
        GetMessageClass(method.input_type).FromString,
        getattr(servicer, python_name(method.name)),
        ACCESS[method.full_name],
    )
