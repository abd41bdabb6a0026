"""Pages that are the same for everybody, and that callers may keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from service.http.endpoints import HttpAnswer


class StaticPage:
    """A page and its etag, by which a caller hears that it has not changed.

    Args:
        body: The page.
        content_type: What it is.
        headers: Further headers of its answers, names in lower case.
    """

    def __init__(
        self, body: bytes, content_type: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._body = body
        self._content_type = content_type
        self._etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
        self._headers = (
            ("etag", self._etag),
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            *headers,
        )

    def answer(self, headers: Mapping[str, str]) -> HttpAnswer:
        """The page, or 304 for a caller that has it.

        Args:
            headers: Those of the request, names in lower case.
        """
        known = headers.get("if-none-match", "")
        if known.strip() == "*" or self._etag in known:
            return HttpAnswer(304, headers=self._headers)
        return HttpAnswer(200, self._body, self._content_type, self._headers)
