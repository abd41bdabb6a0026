"""Pages of lists: sizes, and tokens bound to the request that made them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from service.core.digests import Digester
from service.core.model import PageRequest
from service.core.pages import Listed, decode_token, encode_token
from service.ports.store import Page
from service.rpc.calls import CallInfo

DEFAULT_SIZE: Final = 50
MAX_SIZE: Final = 1000


def page_size(asked: int) -> int:
    """How many items a page has at most, of which `asked` were asked for."""
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing. `page.upto` is None on the first one."""

    digester: Digester
    fingerprint: bytes
    page: PageRequest

    def set_page_fields(self, response: Any, answered: Page[Any]) -> None:
        """Sets `revision` and `next_page_token`."""
        revision, began = answered.revision, answered.began
        if self.page.upto is not None:
            revision, began = self.page.upto, self.page.began
        response.revision = revision
        if answered.next is not None:
            listed = Listed(answered.next, revision, began)
            response.next_page_token = encode_token(self.digester, self.fingerprint, listed)


def open_listing(digester: Digester, call: CallInfo, request: Any) -> Listing:
    """The page that `request` asks for.

    `request` loses its page_size and page_token. Raises INVALID_PAGE_TOKEN for a
    token of another request, tenant, or kind of key.
    """
    size: int = request.page_size
    token: str = request.page_token
    request.ClearField("page_size")
    request.ClearField("page_token")
    principal = call.principal
    visible = "*" if principal.containers is None else ",".join(sorted(principal.containers))
    fingerprint = digester.request(
        f"{call.method} {principal.tenant} {visible}",
        request.SerializeToString(deterministic=True),
    )
    page = PageRequest(page_size(size))
    if token:
        after, revision, began = decode_token(digester, fingerprint, token)
        page = replace(page, after=after, upto=revision, began=began)
    return Listing(digester, fingerprint, page)
