"""Every method of the server, as gRPC wants its handlers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias

import grpc
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.rpc.call_runner import CallRunner
from service.rpc.calls import Handler, RpcCall
from service.rpc.contract import SERVICE_NAMES, files
from service.rpc.errors import Context, abort
from service.rpc.grpc_guard import CallGuard, grpc_context
from service.rpc.policy import CallPolicy
from service.rpc.reflected import with_json_names
from service.rpc.servicers import Method

MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Handlers: TypeAlias = dict[str, MethodHandler]
"""By path: /package.Service/Method."""

_HEALTH: Final = health.SERVICE_NAME
_REFLECTION: Final = reflection.SERVICE_NAME


class ReadOffloader(Protocol):
    """Another process, with methods of its own on the same database."""

    async def answer(self, principal: Principal, method: str, request: bytes) -> bytes | None:
        """What a method that only reads answers there; None: it cannot be asked now."""
        ...


def register(
    server: grpc.aio.Server,
    methods: Iterable[Method],
    runner: CallRunner,
    healths: health.aio.HealthServicer,
) -> None:
    """Gives the server all its methods, and an answer for all others."""
    guard = CallGuard(runner)
    handlers = {**_health(guard, healths), **_reflection(guard)}
    for method in methods:
        handlers[method.path] = _handler(method, guard)
    # Not as "registered methods": grpc.aio waits for each of those apart, and every call
    # pays for all of them.
    server.add_generic_rpc_handlers((_Methods(handlers, runner.policy),))


def _handler(method: Method, guard: CallGuard) -> MethodHandler:
    # To gRPC requests are streams: then the guard reads the message, after it
    # has authenticated the caller. On the wire there is no difference.
    path, parse, handler, access = method.path, method.parse, method.handler, method.access
    if method.descriptor.server_streaming:
        return grpc.stream_stream_rpc_method_handler(
            guard.stream(path, parse, handler, access),
            response_serializer=GetMessageClass(method.descriptor.output_type).SerializeToString,
        )
    return grpc.stream_unary_rpc_method_handler(guard.unary(path, parse, handler, access))


def offloaded(methods: Iterable[Method], offloader: ReadOffloader) -> list[Method]:
    """The same methods, those that read many rows answered elsewhere."""
    return [
        replace(method, handler=_offload(offloader, method.handler))
        if method.access.offloadable
        else method
        for method in methods
    ]


def _offload(offloader: ReadOffloader, handler: Handler) -> Handler:
    """Answers there, and by `handler` only if that cannot be."""

    async def answer_there(call: RpcCall, request: Any) -> Any:
        answer = await offloader.answer(call.principal, call.method, request.SerializeToString())
        return await handler(call, request) if answer is None else answer

    return answer_there


def _health(guard: CallGuard, healths: health.aio.HealthServicer) -> Handlers:
    parse = health_pb2.HealthCheckRequest.FromString
    known = {"", *SERVICE_NAMES}

    async def check(call: RpcCall, request: health_pb2.HealthCheckRequest) -> Any:
        if request.service not in known:
            raise PalimpsestError(Reason.SERVICE_NOT_FOUND, "There is no such service")
        return await healths.Check(request, grpc_context(call))

    async def watch(call: RpcCall, request: health_pb2.HealthCheckRequest) -> None:
        await healths.Watch(request, grpc_context(call))

    check_path, watch_path = f"/{_HEALTH}/Check", f"/{_HEALTH}/Watch"
    return {
        check_path: grpc.stream_unary_rpc_method_handler(
            guard.unary(check_path, parse, check, None)
        ),
        watch_path: grpc.stream_stream_rpc_method_handler(
            guard.stream(watch_path, parse, watch, None),
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        ),
    }


def _reflection(guard: CallGuard) -> Handlers:
    names = [*SERVICE_NAMES, _HEALTH, _REFLECTION]
    # The stubs know two names for one class.
    described: list[Any] = [*files(), health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
    described.append(error_details_pb2.DESCRIPTOR)
    # The stub takes the asynchronous generator for a coroutine.
    servicer: Any = reflection.aio.ReflectionServicer(names, with_json_names(described))

    async def info(call: RpcCall, requests: Any) -> None:
        async for answer in servicer.ServerReflectionInfo(requests, grpc_context(call)):
            await call.exchange.write(answer)

    path = f"/{_REFLECTION}/ServerReflectionInfo"
    return {
        path: grpc.stream_stream_rpc_method_handler(
            guard.duplex(path, reflection_pb2.ServerReflectionRequest.FromString, info),
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
    }


class _Methods(grpc.GenericRpcHandler):
    """Finds a method's handler; a method that is not there has one that says so."""

    def __init__(self, handlers: Handlers, policy: CallPolicy) -> None:
        self._handlers = handlers
        self._policy = policy
        # Reads nothing, so that it fits methods of every shape.
        self._unknown: MethodHandler = grpc.stream_stream_rpc_method_handler(self._refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> MethodHandler:
        return self._handlers.get(handler_call_details.method, self._unknown)

    async def _refuse(self, _: Any, context: Context) -> None:
        self._policy.not_a_call(context.peer(), Reason.METHOD_NOT_FOUND)
        await abort(context, PalimpsestError(Reason.METHOD_NOT_FOUND, "There is no such method"))
