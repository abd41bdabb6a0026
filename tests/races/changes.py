"""Races that a follower of the changes looks on."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from palimpsest.v1 import changes_pb2 as ch
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.races.race_tenant import CALLERS, TAG, RaceTenant
from tests.waiting import HANG_SECONDS
from tests.wire import METHODS, read


def followed(race_tenant: RaceTenant) -> None:
    """What many write at once is sent once, in the order that their receipts say."""
    following = watch(race_tenant)
    assert next(following).revision == 0
    requests: list[d.UpsertDocumentRequest | m.CreateMemoriesRequest] = [
        d.UpsertDocumentRequest(content=f"text {n}", container_tags=[TAG])
        if n % 2
        else m.CreateMemoriesRequest(container_tag=TAG, memories=[m.NewMemory(content=f"text {n}")])
        for n in range(CALLERS)
    ]
    answers = race_tenant.race(requests)
    written = {}
    for request, answer in zip(requests, answers, strict=True):
        response = read(request, answer)
        receipt = response.receipts[0] if hasattr(response, "receipts") else response.receipt
        written[receipt.revision] = receipt.id
    sent = list[ch.Change]()
    for message in following:
        sent.extend(message.changes)
        if message.revision == CALLERS:
            break
    assert [change.revision for change in sent] == list(range(1, CALLERS + 1))
    assert {change.revision: change.id for change in sent} == written


def watch(race_tenant: RaceTenant) -> Iterator[ch.WatchChangesResponse]:
    """The messages of a stream of the tenant's changes, from the first on."""
    request = ch.WatchChangesRequest(after_revision=0)
    path, _ = METHODS[request.DESCRIPTOR.full_name]
    call: grpc.UnaryStreamMultiCallable[bytes, ch.WatchChangesResponse]
    call = race_tenant.channel.unary_stream(
        path, response_deserializer=ch.WatchChangesResponse.FromString
    )
    metadata = (("authorization", f"Bearer {race_tenant.key}"),)
    stream = call(request.SerializeToString(), timeout=HANG_SECONDS, metadata=metadata)
    try:
        yield from stream
    finally:
        stream.cancel()
