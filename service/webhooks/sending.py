"""Sending one event to a receiver, at an address that may be sent to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from socket import SOCK_STREAM, gaierror, getaddrinfo
from types import TracebackType
from typing import Final, Self, TypeAlias

import httpx

from service.core import webhooks as rules
from service.core.model import WebhookTarget

TIMEOUT_SECONDS: Final = 15.0

MAX_ANSWER: Final = 4096
"""Bytes of an answer's body that are read, and thrown away; then the connection is closed."""

MAX_ADDRESSES: Final = 4
"""Of one name, that are tried one after the other."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a name and port; raises OSError."""

_RESOLVERS: Final = ThreadPoolExecutor(4, "webhook-names")
"""Of their own: a name server that does not answer holds up nothing else."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending.

    Args:
        status: Of HTTP; None: there was no answer.
        error: What is wrong, without anything that was sent or answered; empty: nothing.
        retry_after: Seconds that the receiver asks to be left alone for.
    """

    status: int | None
    error: str
    retry_after: float | None = None

    @property
    def delivered(self) -> bool:
        return not self.error

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing more, ever."""
        return self.status == HTTPStatus.GONE


class RefusedAddressError(Exception):
    """A name has no address that may be sent to."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name by the system's resolver, in its order."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        _RESOLVERS, lambda: getaddrinfo(host, port, type=SOCK_STREAM)
    )
    return list(dict.fromkeys(str(address[4][0]) for address in found))


@cache
def default_tls() -> ssl.SSLContext:
    """Trusts certifi's authorities, or those that the variable SSL_CERT_FILE names."""
    return httpx.create_ssl_context()


class Sender:
    """Sends events to one webhook; a context manager that closes its connections.

    A name is looked up for each event, and the connection is made to the address that was
    checked. Connections are this webhook's own: one that was verified for a name may not serve
    another name of the same address.

    Args:
        target: Where to, and with which secret.
        resolve: Finds the addresses of a name.
        tls: Verifies certificates; None: `default_tls`.
        timeout: Seconds from the look-up of the name to the answer.
    """

    def __init__(
        self,
        target: WebhookTarget,
        *,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._target = target
        self._timeout = timeout
        self._resolve = resolve
        self._url = httpx.URL(target.url)
        self._host = self._url.raw_host.decode()
        self._client = httpx.AsyncClient(
            verify=(tls or default_tls()) if self._url.scheme == "https" else False,
            # A proxy would connect to an address that nobody has checked.
            trust_env=False,
            follow_redirects=False,
            timeout=timeout,
            headers={"user-agent": "palimpsest-webhooks"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def send(self, message_id: str, now: int, body: bytes) -> Answer:
        """Send a signed event.

        Args:
            message_id: The same for each repetition.
            now: The wall clock, in microseconds.
            body: JSON.
        """
        timestamp = now // 1_000_000
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": rules.signature(self._target.secret, message_id, timestamp, body),
        }
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(headers, body, timestamp)
        except (TimeoutError, httpx.TimeoutException):
            return Answer(None, f"no answer within {self._timeout:g} s")
        except RefusedAddressError as error:
            return Answer(None, str(error))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(None, _explained(error))

    async def _send(self, headers: dict[str, str], body: bytes, now: int) -> Answer:
        addresses = await self._addresses()
        for address in addresses[:-1]:
            try:
                return _answer(await self._post(address, headers, body), now)
            except httpx.ConnectError:
                continue
        return _answer(await self._post(addresses[-1], headers, body), now)

    async def _addresses(self) -> Sequence[str]:
        url = self._url
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self._resolve(self._host, port)
        except (gaierror, UnicodeError) as error:
            raise RefusedAddressError("its name has no address") from error
        if not self._target.allow_private:
            allowed = [address for address in found if rules.is_public(address)]
            if found and not allowed:
                raise RefusedAddressError(
                    "its address is not public, and it was added without --allow-private"
                )
            found = allowed
        if not found:
            raise RefusedAddressError("its name has no address")
        return found[:MAX_ADDRESSES]

    async def _post(self, address: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        name = self._url.netloc.decode()
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=address),
            headers={**headers, "host": name},
            content=body,
            # The certificate has to be that of the name.
            extensions={"sni_hostname": self._host},
        )
        response = await self._client.send(request, stream=True)
        try:
            left = MAX_ANSWER
            async for part in response.aiter_raw():
                left -= len(part)
                if left < 0:
                    break
        except httpx.HTTPError:
            # The status has come, and nothing else matters.
            pass
        finally:
            await response.aclose()
        return response


def _answer(response: httpx.Response, now: int) -> Answer:
    status = response.status_code
    if response.is_success:
        return Answer(status, "")
    error = f"answered {status}"
    if response.is_redirect:
        error += "; redirects are not followed"
    return Answer(status, error, _retry_after(response.headers.get("retry-after", ""), now))


def _retry_after(value: str, now: int) -> float | None:
    """What a header `Retry-After` (RFC 9110, 10.2.3) asks for at `now`; None: it is malformed.

    All in seconds.
    """
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment.timestamp() - now, 0.0)


def _explained(error: BaseException) -> str:
    """A failure without what it quotes, which may be a part of the URL."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return "cannot connect"
    return f"the connection failed ({type(error).__name__})"
