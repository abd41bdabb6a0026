"""The methods of the contract, called by the principal of one HTTP request."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from palimpsest.v1.documents_pb2 import ListDocumentsRequest, ListDocumentsResponse
from palimpsest.v1.memories_pb2 import ListMemoriesRequest, ListMemoriesResponse
from service.rpc.access import authorize_containers, authorize_method
from service.rpc.active_call import ActiveCall
from service.rpc.call_runner import CallRunner
from service.rpc.calls import RpcCall
from service.rpc.numbered import NumberedLists, page_bytes
from service.rpc.policy import Hold
from service.rpc.servicers import Method
from service.runtime import call_stages


class Invoker:
    """Calls methods by name, as "Documents.GetDocument".

    Args:
        methods: Those of the contract.
        numbered: Lists by page number.
        runner: Runs the calls of all transports.
    """

    def __init__(
        self, methods: Iterable[Method], numbered: NumberedLists, runner: CallRunner
    ) -> None:
        self._methods = {
            f"{method.descriptor.containing_service.name}.{method.descriptor.name}": method
            for method in methods
        }
        self.numbered = numbered
        self.runner = runner

    def method(self, name: str) -> Method:
        return self._methods[name]

    def for_request(self, call: RpcCall, active: ActiveCall) -> RequestCalls:
        return RequestCalls(self, call, active)


class RequestCalls:
    """The calls of one request; see `endpoints.Calls`."""

    def __init__(self, invoker: Invoker, call: RpcCall, active: ActiveCall) -> None:
        self._invoker = invoker
        self._call = call
        self._active = active
        self._hold: Hold | None = None
        self._responded = 0.0
        """When the last response came, if the stages of the request are noted."""

    async def call(self, method: str, request: Message) -> Any:
        """The response of a unary method."""
        found = self._invoker.method(method)
        await self._admit(found, request)
        response = await found.handler(self._inner(found), request)
        self._responded = 0.0 if call_stages.current() is None else perf_counter()
        if isinstance(response, bytes):
            return GetMessageClass(found.descriptor.output_type).FromString(response)
        return response

    async def numbered_documents(
        self, request: ListDocumentsRequest, number: int, size: int
    ) -> tuple[ListDocumentsResponse, int]:
        found = self._invoker.method("Documents.ListDocuments")
        await self._admit(found, request, page_bytes(request, size))
        return await self._invoker.numbered.documents(self._inner(found), request, number, size)

    async def numbered_memories(
        self, request: ListMemoriesRequest, number: int, size: int
    ) -> tuple[ListMemoriesResponse, int]:
        found = self._invoker.method("Memories.ListMemories")
        await self._admit(found, request, page_bytes(request, size))
        return await self._invoker.numbered.memories(self._inner(found), request, number, size)

    async def stream(self, method: str, request: Message) -> None:
        """Run a streaming method, which writes to the exchange of the call."""
        found = self._invoker.method(method)
        await self._admit(found, request)
        runner = self._invoker.runner
        call = runner.stream_call(self._inner(found), self._active)
        await runner.until_drained(found.handler(call, request))

    async def _admit(self, method: Method, request: Message, at_most: int | None = None) -> None:
        """Authorize a call, and wait until the quota has room for its answer.

        Args:
            method: The method.
            request: Its request.
            at_most: How large the answer can be, roughly; None: as the method says.
        """
        authorize_method(self._call.principal, method.access)
        authorize_containers(self._call.principal, method.access, request)
        size = method.access.answer_bytes(request) if at_most is None else at_most
        policy = self._invoker.runner.policy
        # One answer at a time: a request that waits for room must not hold what it waits for.
        self.give_up()
        self._hold = await policy.hold_answer(self._active, size)

    def _inner(self, method: Method) -> RpcCall:
        call = self._call
        return RpcCall(method.path, call.principal, call.exchange, call.stopping)

    def answer(self, size: int) -> None:
        """The answer is made, of so many bytes: count it until it has been read."""
        stages = call_stages.current()
        if stages is not None and self._responded:
            stages.note("answer", self._responded, perf_counter())
        hold, self._hold = self._hold, None
        if hold is not None:
            self._invoker.runner.keep(self._active, self._call.exchange, hold, size)

    def give_up(self) -> None:
        """There is no answer: nothing remains counted."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None
