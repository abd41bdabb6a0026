"""Etags of documents: which they are, and that what differs has different ones."""

from __future__ import annotations

from itertools import product
from typing import Any

from service.core.digests import Digester
from service.core.documents import DocumentFields, without_trailing_nones
from service.core.model import ContentKind

DIGESTER = Digester(bytes(range(32))).for_tenant(1)


def fields(**given: Any) -> DocumentFields:
    values: dict[str, Any] = {
        "content_hash": b"0123456789abcdef",
        "metadata": '{"n":1}',
        "containers": ("a", "b"),
        "title": "Title",
        "document_date": 1_700_000_000_000_000,
        "kind": ContentKind.TEXT,
    }
    return DocumentFields(**values | given)


def test_etags_are_those_of_earlier_releases() -> None:
    etags = [fields(kind=kind).etag(DIGESTER) for kind in (ContentKind.TEXT, ContentKind.MARKDOWN)]
    assert etags == ["Cr_GKY1f_YzAvHen", "rlSYPuaSAzaAinCy"]


def test_values_of_different_fields_have_different_etags() -> None:
    given = list(product((None, 2, 3), (None, "2", "3"), (None, "", "2")))
    etags = {DIGESTER.etag("text", *without_trailing_nones(values)) for values in given}
    assert len(etags) == len(given)


def test_fields_with_their_defaults_leave_the_etag_as_it_was() -> None:
    assert DIGESTER.etag("text", *without_trailing_nones((None, None))) == DIGESTER.etag("text")
    assert DIGESTER.etag("text", *without_trailing_nones((2, None))) == DIGESTER.etag("text", 2)
