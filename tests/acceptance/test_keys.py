"""Without a right key nothing is answered."""

from __future__ import annotations

import grpc
import pytest

from tests.acceptance.callers import CallError
from tests.acceptance.conftest import CallerWithKey
from tests.harness import Server, run_cli

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


def test_a_call_without_a_key_is_refused(caller_with: CallerWithKey) -> None:
    with pytest.raises(CallError) as failed:
        caller_with(None)("Documents.ListDocuments")

    assert (failed.value.code, failed.value.reasons) == (UNAUTHENTICATED, ["KEY_MISSING"])


def test_a_call_with_a_wrong_key_is_refused(caller_with: CallerWithKey, key: str) -> None:
    last = "A" if key[-1] != "A" else "B"
    for wrong in ("nonsense", key[:-1] + last, key + "A"):
        with pytest.raises(CallError) as failed:
            caller_with(wrong)("Documents.ListDocuments")

        assert (failed.value.code, failed.value.reasons) == (UNAUTHENTICATED, ["KEY_INVALID"])
        assert wrong not in failed.value.message


def test_the_first_key_of_a_fresh_server_works(
    caller_with: CallerWithKey, shared_server: Server
) -> None:
    assert "documents" in caller_with(shared_server.key)("Documents.ListDocuments")


def test_a_read_only_key_reads_and_does_not_write(
    caller_with: CallerWithKey, shared_server: Server
) -> None:
    call = caller_with(shared_server.create_key("--tenant", "readers", "--read-only"))

    assert call("Documents.ListDocuments")["documents"] == []
    with pytest.raises(CallError) as failed:
        call("Documents.UpsertDocument", content="A note")

    assert failed.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert failed.value.reasons == ["KEY_READ_ONLY"]


def test_a_revoked_key_stops_working_at_once(
    caller_with: CallerWithKey, shared_server: Server
) -> None:
    key = shared_server.create_key("--tenant", "revoked")
    call = caller_with(key)
    assert call("Documents.ListDocuments")["documents"] == []
    listed = run_cli(shared_server.data_dir, "keys", "list").stdout
    key_id = next(line.split()[0] for line in listed.splitlines()[::-1] if "revoked" in line)

    done = run_cli(shared_server.data_dir, "keys", "revoke", key_id)

    assert done.returncode == 0, done.stderr
    with pytest.raises(CallError) as failed:
        call("Documents.ListDocuments")
    assert (failed.value.code, failed.value.reasons) == (UNAUTHENTICATED, ["KEY_INVALID"])


def test_no_tenant_sees_anything_of_another(
    caller_with: CallerWithKey, shared_server: Server, key: str
) -> None:
    ours = caller_with(key)
    theirs = caller_with(shared_server.create_key("--tenant", "strangers"))
    made = ours("Documents.UpsertDocument", content="Ours", customId="ours")["receipt"]

    for name in (made["id"], "ours"):
        with pytest.raises(CallError) as failed:
            theirs("Documents.GetDocument", id=name)
        assert failed.value.code is grpc.StatusCode.NOT_FOUND
    assert theirs("Documents.ListDocuments")["documents"] == []
    assert theirs("Containers.ListContainers")["containers"] == []
