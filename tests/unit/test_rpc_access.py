"""Every RPC says what it needs, and gets it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass

from palimpsest.v1 import documents_pb2, memories_pb2
from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.rpc.access import ACCESS, authorize_containers, authorize_method
from service.rpc.changes import Changes
from service.rpc.containers import Containers
from service.rpc.contract import SERVICES
from service.rpc.documents import Documents
from service.rpc.memories import Memories
from service.rpc.servicers import python_name

METHODS = [method for service in SERVICES for method in service.methods]
READERS = ("Get", "List", "Search", "Watch")
LIMITED = Principal(tenant=1, key_id="k", containers=frozenset({"a"}))


def test_every_rpc_of_the_contract_is_in_the_table() -> None:
    assert set(ACCESS) == {method.full_name for method in METHODS}


def test_what_does_not_get_list_or_watch_writes() -> None:
    for method in METHODS:
        assert ACCESS[method.full_name].writes is not method.name.startswith(READERS)


def test_every_container_field_of_a_request_is_checked() -> None:
    for method in METHODS:
        fields = method.input_type.fields_by_name
        request: Any = GetMessageClass(method.input_type)()
        if "container_tags" in fields:
            request.container_tags.append("b")
        elif "container_tag" in fields:
            request.container_tag = "b"
        elif "items" in fields:
            request.items.add(container_tags=["a"])
            request.items.add(container_tags=["b"])
        else:
            continue
        with pytest.raises(PalimpsestError) as caught:
            authorize_containers(LIMITED, ACCESS[method.full_name], request)
        assert caught.value.reason is Reason.CONTAINER_NOT_ALLOWED


def test_every_rpc_has_a_servicer_method() -> None:
    servicers = {
        servicer.__name__: servicer for servicer in (Changes, Containers, Documents, Memories)
    }
    for method in METHODS:
        servicer = servicers[method.containing_service.name]
        assert callable(getattr(servicer, python_name(method.name)))


def test_a_memory_call_without_a_container_is_about_the_default_one() -> None:
    access = ACCESS["palimpsest.v1.Memories.GetMemory"]
    with pytest.raises(PalimpsestError):
        authorize_containers(LIMITED, access, memories_pb2.GetMemoryRequest(id="mem_x"))
    default = Principal(tenant=1, key_id="k", containers=frozenset({"default"}))
    authorize_containers(default, access, memories_pb2.GetMemoryRequest(id="mem_x"))


def test_lists_and_searches_without_containers_are_about_all_that_are_visible() -> None:
    for name, request in (
        ("Documents.ListDocuments", documents_pb2.ListDocumentsRequest()),
        ("Documents.SearchDocuments", documents_pb2.SearchDocumentsRequest()),
        ("Memories.ListMemories", memories_pb2.ListMemoriesRequest()),
        ("Memories.SearchMemories", memories_pb2.SearchMemoriesRequest()),
    ):
        authorize_containers(LIMITED, ACCESS[f"palimpsest.v1.{name}"], request)


def test_a_read_only_key_reads_and_does_not_write() -> None:
    reader = Principal(tenant=1, key_id="k", read_only=True)
    authorize_method(reader, ACCESS["palimpsest.v1.Documents.GetDocument"])
    with pytest.raises(PalimpsestError) as caught:
        authorize_method(reader, ACCESS["palimpsest.v1.Documents.UpsertDocument"])
    assert caught.value.reason is Reason.KEY_READ_ONLY
