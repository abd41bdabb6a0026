"""Errors as google.rpc.Status."""

from __future__ import annotations

import base64

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from palimpsest.v1 import errors_pb2
from service.core.errors import (
    Code,
    PalimpsestError,
    Reason,
    Violation,
    describe,
    document_not_found,
    etag_mismatch,
    invalid,
)
from service.rpc.errors import status_of

NAMES = [value.name for value in errors_pb2.ErrorReason.DESCRIPTOR.values]


def unpack(status: Status) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        detail = getattr(details, name)()
        assert packed.Unpack(detail)
        assert name not in found
        found[name] = detail
    return found


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.name)
def test_every_reason_is_in_the_contract_and_has_one_error_info(reason: Reason) -> None:
    assert f"ERROR_REASON_{reason.name}" in NAMES
    status = status_of(PalimpsestError(reason, "why", metadata={"latest_id": "mem_1"}))
    info = unpack(status)["ErrorInfo"]
    assert isinstance(info, details.ErrorInfo)
    assert (info.reason, info.domain) == (reason.name, "palimpsest")
    assert info.metadata == {"latest_id": "mem_1"}
    assert status.code == reason.code
    assert status.code in {code.value[0] for code in grpc.StatusCode}


def test_every_reason_of_the_contract_has_a_code() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in NAMES}
    assert names - {"UNSPECIFIED"} == set(Reason.__members__)


def test_violations_become_a_bad_request() -> None:
    found = unpack(status_of(invalid([Violation("a.b", "must be"), Violation("", "one of")])))
    request = found["BadRequest"]
    assert isinstance(request, details.BadRequest)
    assert [(v.field, v.description) for v in request.field_violations] == [
        ("a.b", "must be"),
        ("", "one of"),
    ]


def test_what_is_missing_is_named_by_its_kind() -> None:
    info = unpack(status_of(document_not_found()))["ResourceInfo"]
    assert isinstance(info, details.ResourceInfo)
    assert info.resource_type == "palimpsest.v1.Document"


def test_a_state_that_forbids_becomes_a_precondition_failure() -> None:
    error = PalimpsestError(
        Reason.MEMORY_FORGOTTEN, "forgotten", resource=("palimpsest.v1.Memory", "mem_1")
    )
    failure = unpack(status_of(error))["PreconditionFailure"]
    assert isinstance(failure, details.PreconditionFailure)
    assert [(v.type, v.subject) for v in failure.violations] == [("MEMORY_FORGOTTEN", "mem_1")]


def test_waiting_is_told_even_when_it_is_no_time() -> None:
    assert "RetryInfo" in unpack(status_of(etag_mismatch("document")))
    late = PalimpsestError(Reason.OVERLOADED, "later", retry_after=1.5)
    retry = unpack(status_of(late))["RetryInfo"]
    assert isinstance(retry, details.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert "RetryInfo" not in unpack(status_of(document_not_found()))


@pytest.mark.parametrize("text", ["x", "ü", "\N{GRINNING FACE}", "\n"])
def test_the_trailers_fit_whatever_is_in_them(text: str) -> None:
    violations = [Violation(f"items[{n}].{text * 400}", text * 4000) for n in range(5000)]
    status = status_of(invalid(violations))
    binary = len(base64.b64encode(status.SerializeToString()))
    escaped = sum(1 if " " <= c <= "~" else 3 * len(c.encode()) for c in status.message)
    assert binary + escaped < 8000
    request = unpack(status)["BadRequest"]
    assert isinstance(request, details.BadRequest)
    listed = len(request.field_violations) - 1
    assert request.field_violations[-1].description == f"and {5000 - listed} more"


def test_an_internal_error_names_the_call_and_nothing_else() -> None:
    status = status_of(PalimpsestError(Reason.INTERNAL, "failed"), "call-7")
    found = unpack(status)
    assert set(found) == {"ErrorInfo"}
    info = found["ErrorInfo"]
    assert isinstance(info, details.ErrorInfo)
    assert info.metadata == {"call_id": "call-7"}
    assert status.code == Code.INTERNAL


def test_a_described_exception_keeps_its_text_to_itself() -> None:
    try:
        try:
            raise ValueError("what the caller wrote")
        except ValueError as error:
            raise RuntimeError("INSERT ... 'what the caller wrote'") from error
    except RuntimeError as error:
        described = "\n".join(describe(error))
    assert "builtins.RuntimeError" in described
    assert "builtins.ValueError" in described
    assert "caller wrote" not in described
    assert __name__.rpartition(".")[2] in described
