"""Calls of the service, synchronous and for asyncio: deadlines, retries, request ids, errors."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from palimpsest import messages, retries
from palimpsest.errors import PalimpsestError, error_of, not_reached
from palimpsest.resuming import Resuming

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

WAIT_SECONDS: Final = 120.0
"""The time limit of a call that waits for documents to be processed, if it has none of its own."""

_QUOTA_ATTEMPTS: Final = 8
"""Connections of a stream without a message after which a quota that is used up is an error: a
stream has no time limit, and what uses the quota may be the caller's own. About 20 seconds."""

_READY_SECONDS: Final = 0.2
"""How long it may take to learn that a channel is connected, which is known without the network."""


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Response]):
    """A method of the contract, by its path and its messages."""

    path: str
    request: type[Request]
    response: type[Response]


@dataclass(frozen=True, slots=True)
class Settings:
    """What calls have in common.

    Attributes:
        address: Where the server is.
        key: None for a server that asks for none.
        timeout: Seconds for a call, all of its attempts included.
        actor: On whose behalf calls are made, for the change feed; empty: not said.
    """

    address: str
    key: str | None
    timeout: float
    actor: str = ""

    def __post_init__(self) -> None:
        self.metadata(None)

    def request(self, method: Method[Request, Response], fields: Mapping[str, Any]) -> Request:
        """The request of these fields; that of a mutation has a request_id."""
        request = messages.build(method.request, fields)
        has_id = "request_id" in method.request.DESCRIPTOR.fields_by_name
        if has_id and not getattr(request, "request_id"):  # noqa: B009 - few messages have it
            setattr(request, "request_id", str(uuid.uuid4()))  # noqa: B010
        return request

    def metadata(self, actor: str | None) -> tuple[tuple[str, str], ...]:
        """The metadata of a call.

        Raises:
            ValueError: The key or the actor cannot be sent.
        """
        pairs: list[tuple[str, str]] = []
        if self.key is not None:
            pairs.append(("authorization", f"Bearer {_sendable('key', self.key)}"))
        actor = self.actor if actor is None else actor
        if actor:
            pairs.append(("palimpsest-actor", _sendable("actor", actor)))
        return tuple(pairs)

    def seconds(self, request: Message, timeout: float | None) -> float:
        """How long a call may take."""
        if timeout is not None:
            return timeout
        waits = getattr(request, "wait", False)
        return max(self.timeout, WAIT_SECONDS) if waits else self.timeout


def _sendable(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"{name}: has to be printable ASCII, without line ends")
    return value


def _next_page(page: Any) -> Mapping[str, Any] | None:
    """What the request for the next page has instead; None after the last one."""
    if "next_page_token" in page.DESCRIPTOR.fields_by_name:
        return {"page_token": page.next_page_token} if page.next_page_token else None
    # Of changes, whose pages go by revision.
    more = page.revision < page.latest_revision
    return {"after_revision": page.revision} if more else None


class Calls:
    """Synchronous calls over one channel; may be used by several threads."""

    def __init__(self, channel: grpc.Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings

    def unary(
        self,
        method: Method[Request, Response],
        fields: Mapping[str, Any],
        timeout: float | None,
        actor: str | None = None,
    ) -> Response:
        """The answer to a call, which is made again until it succeeds or its time is over."""
        request = self._settings.request(method, fields)
        call = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        metadata = self._settings.metadata(actor)
        deadline = time.monotonic() + self._settings.seconds(request, timeout)
        attempt = 0
        while True:
            left = deadline - time.monotonic()
            try:
                answer: Response = call(request, timeout=left, metadata=metadata)
                return answer
            except grpc.RpcError as failed:
                error = self._error(failed)
            seconds = retries.delay(error, attempt)
            if seconds is None or time.monotonic() + seconds >= deadline:
                raise error
            time.sleep(seconds)
            attempt += 1

    def pages(
        self,
        method: Method[Request, Response],
        fields: Mapping[str, Any],
        items: str,
        timeout: float | None,
    ) -> Iterator[Any]:
        """The items of all pages; `timeout` is for each page."""
        following: Mapping[str, Any] | None = {}
        while following is not None:
            page = self.unary(method, {**fields, **following}, timeout)
            yield from getattr(page, items)
            following = _next_page(page)

    def stream(
        self,
        method: Method[Request, Response],
        fields: Mapping[str, Any],
        resumes: Callable[[Request], Resuming],
    ) -> Iterator[Response]:
        """The messages of a stream, over as many connections as it takes."""
        resuming = resumes(self._settings.request(method, fields))
        open_call = self._channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        attempt = 0
        while True:
            error = None
            call = open_call(resuming.request, metadata=self._settings.metadata(None))
            try:
                for message in call:
                    attempt = 0
                    if resuming.accept(message):
                        yield message
                    if resuming.ended:
                        return
            except grpc.RpcError as failed:
                error = self._error(failed)
            finally:
                call.cancel()
            if (last := last_of(resuming, error)) is not None:
                yield last
                return
            time.sleep(delay_of(error, attempt))
            attempt += 1

    def _error(self, failed: grpc.RpcError) -> PalimpsestError:
        error = error_of(failed)
        if timed_out(error) and not self._connected():
            return not_reached(self._settings.address)
        return error

    def _connected(self) -> bool:
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(_READY_SECONDS)
        except grpc.FutureTimeoutError:
            return False
        finally:
            ready.cancel()
        return True


class AsyncCalls:
    """The same for asyncio, in the event loop that made the channel."""

    def __init__(self, channel: grpc.aio.Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings

    async def unary(
        self,
        method: Method[Request, Response],
        fields: Mapping[str, Any],
        timeout: float | None,
        actor: str | None = None,
    ) -> Response:
        """The answer to a call, which is made again until it succeeds or its time is over."""
        request = self._settings.request(method, fields)
        call = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        metadata = self._settings.metadata(actor)
        deadline = time.monotonic() + self._settings.seconds(request, timeout)
        attempt = 0
        while True:
            left = deadline - time.monotonic()
            try:
                answer: Response = await call(request, timeout=left, metadata=metadata)
                return answer
            except grpc.RpcError as failed:
                error = self._error(failed)
            seconds = retries.delay(error, attempt)
            if seconds is None or time.monotonic() + seconds >= deadline:
                raise error
            await asyncio.sleep(seconds)
            attempt += 1

    async def pages(
        self,
        method: Method[Request, Response],
        fields: Mapping[str, Any],
        items: str,
        timeout: float | None,
    ) -> AsyncIterator[Any]:
        """The items of all pages; `timeout` is for each page."""
        following: Mapping[str, Any] | None = {}
        while following is not None:
            page = await self.unary(method, {**fields, **following}, timeout)
            for item in getattr(page, items):
                yield item
            following = _next_page(page)

    async def stream(
        self,
        method: Method[Request, Response],
        fields: Mapping[str, Any],
        resumes: Callable[[Request], Resuming],
    ) -> AsyncIterator[Response]:
        """The messages of a stream, over as many connections as it takes."""
        resuming = resumes(self._settings.request(method, fields))
        open_call = self._channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        attempt = 0
        while True:
            error = None
            call = open_call(resuming.request, metadata=self._settings.metadata(None))
            try:
                async for message in call:
                    attempt = 0
                    if resuming.accept(message):
                        yield message
                    if resuming.ended:
                        return
            except grpc.RpcError as failed:
                error = self._error(failed)
            finally:
                call.cancel()
            if (last := last_of(resuming, error)) is not None:
                yield last
                return
            await asyncio.sleep(delay_of(error, attempt))
            attempt += 1

    def _error(self, failed: grpc.RpcError) -> PalimpsestError:
        error = error_of(failed)
        if timed_out(error) and self._channel.get_state() is not grpc.ChannelConnectivity.READY:
            return not_reached(self._settings.address)
        return error


def timed_out(error: PalimpsestError) -> bool:
    """Whether the service said nothing; calls wait for a connection, so there may be none."""
    return error.code is grpc.StatusCode.DEADLINE_EXCEEDED and not error.reason


def last_of(resuming: Resuming, error: PalimpsestError | None) -> Any:
    """The last message of a stream, if it was lost with a connection."""
    return None if error is None else resuming.last_message(error)


def delay_of(error: PalimpsestError | None, attempt: int) -> float:
    """Seconds until the next connection of a stream.

    Args:
        error: Why the last one ended; None: it was ended in order.
        attempt: How many ended before it since the last message.

    Raises:
        PalimpsestError: There should be none.
    """
    if error is None:  # the service ended a stream that has no end
        error = PalimpsestError(grpc.StatusCode.UNAVAILABLE, "The stream ended")
    seconds = retries.delay(error, attempt)
    if seconds is None or (error.reason == "QUOTA_EXCEEDED" and attempt >= _QUOTA_ATTEMPTS):
        raise error
    return seconds
