"""The contract's annotations, with the paths a caller reads."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from palimpsest.v1 import documents_pb2 as dpb
from palimpsest.v1 import memories_pb2 as mpb
from service.core.errors import PalimpsestError
from service.rpc import validation
from service.rpc.validation import check


def test_a_valid_request_breaks_nothing() -> None:
    assert check(dpb.GetDocumentRequest(id="doc_1")) == []


def test_all_violations_are_listed_with_their_paths() -> None:
    request = dpb.BatchUpsertDocumentsRequest(request_id="not-a-uuid")
    request.items.add(content="x")
    request.items.add(custom_id="doc_1", container_tags=["a", "b c"])
    assert [violation.field for violation in check(request)] == [
        "items[1].content",
        "items[1].custom_id",
        "items[1].container_tags[1]",
        "request_id",
    ]


def test_a_rule_over_several_fields_has_no_path() -> None:
    (violation,) = check(dpb.BulkDeleteDocumentsRequest())
    assert violation.field == ""
    assert violation.rule == "exactly one of ids and container_tags must be given"


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_a_crowded_request_is_refused_without_listing_it_all(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    validator, listed = validation._validator, list[bool]()

    class Watched:
        def collect_violations(self, request: Message, fail_fast: bool = False) -> object:
            listed.append(not fail_fast)
            return validator.collect_violations(request, fail_fast=fail_fast)

    monkeypatch.setattr(validation, "_validator", Watched())
    batch = dpb.BatchUpsertDocumentsRequest()
    batch.items.MergeFrom([dpb.UpsertDocumentRequest()] * count)
    listing = mpb.ListMemoriesRequest(page_size=-1)
    for _ in range(count):
        listing.filter.all_of.filters.add()
    nested = mpb.CreateMemoriesRequest(container_tag="no such")
    for _ in range(count):
        nested.memories.add()
    for request in (batch, listing, nested):
        with pytest.raises(PalimpsestError) as caught:
            check(request)
        assert len(caught.value.violations) == 1
    # Only the first violation of each was looked for.
    assert listed == [False] * 3
