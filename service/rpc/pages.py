"""Pages of lists: sizes, and tokens bound to the request that made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from service.core.digests import Digester
from service.core.model import PageRequest
from service.core.pages import decode_token, encode_token
from service.core.store import Page
from service.rpc.calls import CallInfo

DEFAULT_SIZE: Final = 50
MAX_SIZE: Final = 1000


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing. `revision` is the first page's; None on that one."""

    digester: Digester
    fingerprint: bytes
    page: PageRequest
    revision: int | None

    def fill(self, response: Any, answered: Page[Any]) -> None:
        """Sets `revision` and `next_page_token`."""
        revision = answered.revision if self.revision is None else self.revision
        response.revision = revision
        if answered.next is not None:
            response.next_page_token = encode_token(
                self.digester, self.fingerprint, answered.next, revision
            )


def open_listing(digester: Digester, call: CallInfo, request: Any) -> Listing:
    """The page that `request` asks for.

    `request` loses its page_size and page_token. Raises INVALID_PAGE_TOKEN for a
    token of another request, tenant, or kind of key.
    """
    size: int = request.page_size
    token: str = request.page_token
    request.ClearField("page_size")
    request.ClearField("page_token")
    seen = "*" if call.who.containers is None else ",".join(sorted(call.who.containers))
    fingerprint = digester.request(
        f"{call.method} {call.who.tenant} {seen}", request.SerializeToString(deterministic=True)
    )
    after, revision = decode_token(digester, fingerprint, token) if token else (None, None)
    page = PageRequest(min(size or DEFAULT_SIZE, MAX_SIZE), after, revision)
    return Listing(digester, fingerprint, page, revision)
