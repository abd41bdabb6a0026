"""Custom ids are unique in their home, the first of a document's containers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from grpc import StatusCode

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.client import Client, refused
from tests.inprocess import Service
from tests.rpc.conftest import Connect

PRECONDITION = StatusCode.FAILED_PRECONDITION
AMBIGUOUS = "AMBIGUOUS_CUSTOM_ID"
ABSENT = "DOCUMENT_NOT_FOUND"

Ask: TypeAlias = Callable[[Client, str, str], Awaitable[Any]]


async def watch(client: Client, name: str, home: str) -> None:
    async for _ in client.documents.WatchDocument(
        d.WatchDocumentRequest(id=name, container_tag=home)
    ):
        break


async def get(client: Client, name: str, home: str) -> None:
    await client.get(name, home)


async def update(client: Client, name: str, home: str) -> None:
    request = d.UpdateDocumentRequest(id=name, container_tag=home, title="updated")
    await client.documents.UpdateDocument(request)


async def delete(client: Client, name: str, home: str) -> None:
    await client.documents.DeleteDocument(d.DeleteDocumentRequest(id=name, container_tag=home))


async def append(client: Client, name: str, home: str) -> None:
    request = d.AppendMessagesRequest(
        id=name, container_tag=home, messages=[d.ConversationMessage(text="more")]
    )
    await client.documents.AppendMessages(request)


async def list_chunks(client: Client, name: str, home: str) -> None:
    await client.documents.ListChunks(d.ListChunksRequest(id=name, container_tag=home))


BY_NAME: list[Ask] = [get, watch, list_chunks, update, append, delete]


async def move(client: Client, name: str, *tags: str) -> d.DocumentReceipt:
    request = d.UpdateDocumentRequest(id=name, container_tags=tags)
    return (await client.documents.UpdateDocument(request)).receipt


async def leave(client: Client, *tags: str) -> d.BulkDeleteDocumentsResponse:
    return await client.documents.BulkDeleteDocuments(
        d.BulkDeleteDocumentsRequest(container_tags=tags)
    )


# --- finding -----------------------------------------------------------------


async def test_one_users_profile_never_meets_anothers(client: Client) -> None:
    made = {
        user: await client.put(f"of {user}", custom_id="profile", container_tags=[user])
        for user in ("ann", "ben", "default")
    }
    again = await client.put("of ben, again", custom_id="profile", container_tags=["ben"])

    assert len({receipt.id for receipt in made.values()}) == 3
    assert (again.id, again.created) == (made["ben"].id, False)
    for user, text in (("ann", "of ann"), ("ben", "of ben, again"), ("default", "of default")):
        document = await client.get("profile", user)
        assert (document.id, document.content) == (made[user].id, text)
        assert document.custom_id == "profile"


@pytest.mark.parametrize("ask", BY_NAME)
async def test_a_call_names_the_home_or_there_is_only_one(client: Client, ask: Ask) -> None:
    async def begin(home: str) -> d.DocumentReceipt:
        talk = d.Conversation(messages=[d.ConversationMessage(text=home)])
        return await client.put("", conversation=talk, custom_id="n", container_tags=[home])

    await begin("ann")
    await ask(client, "n", "")
    ann, ben = await begin("ann"), await begin("ben")
    with refused(PRECONDITION, AMBIGUOUS) as refusal:
        await ask(client, "n", "")
    assert refusal.info.metadata["ids"] == ",".join(sorted([ann.id, ben.id]))
    assert ann.id not in refusal.message
    with refused(StatusCode.NOT_FOUND, ABSENT):
        await ask(client, "n", "cleo")
    await ask(client, "n", "ann")
    if ask is not delete:
        await ask(client, ann.id, "ann")
    await ask(client, ben.id, "ben")


async def test_a_container_next_to_an_id_is_one_that_the_document_is_in(client: Client) -> None:
    made = await client.put(custom_id="n", container_tags=["a", "b"])

    for tag in ("a", "b"):
        assert (await client.get(made.id, tag)).id == made.id
    for name, tag in ((made.id, "c"), ("n", "b"), ("n", "c")):
        with refused(StatusCode.NOT_FOUND, ABSENT):
            await client.get(name, tag)
    request = d.DeleteDocumentRequest(id=made.id, container_tag="c", allow_missing=True)
    assert not (await client.documents.DeleteDocument(request)).id
    assert await client.ids() == [made.id]


async def test_no_document_is_named_that_the_key_may_not_see(
    client: Client, connect: Connect
) -> None:
    hidden = await client.put("hidden", custom_id="n", container_tags=["hidden"])
    own = await client.put("own", custom_id="n", container_tags=["a"])
    shared = await client.put("shared", custom_id="n", container_tags=["secret", "b"])

    async with connect(containers=["a"]) as limited:
        assert (await limited.get("n")).id == own.id
        assert (await limited.put("again", custom_id="n")).id == own.id
        with refused(StatusCode.PERMISSION_DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.get("n", "hidden")
    async with connect(containers=["b", "c"]) as limited:
        # Its home is not the key's, but it is the only one that the key may see.
        assert (await limited.get("n")).id == shared.id
        with refused(StatusCode.NOT_FOUND, ABSENT):
            await limited.get("n", "c")
    async with connect(containers=["a", "b"]) as limited:
        for ask in BY_NAME:
            with refused(PRECONDITION, AMBIGUOUS) as refusal:
                await ask(limited, "n", "")
            assert refusal.info.metadata["ids"] == ",".join(sorted([own.id, shared.id]))
            assert hidden.id not in str(refusal)
            assert "2" in refusal.message
            assert "3" not in refusal.message
    async with connect(containers=["d"]) as limited:
        for ask in BY_NAME:
            with refused(StatusCode.NOT_FOUND, ABSENT):
                await ask(limited, "n", "")
    assert len(await client.ids()) == 3


async def test_an_error_lists_so_many_ids_and_no_more(client: Client, connect: Connect) -> None:
    items = [
        d.UpsertDocumentRequest(content="x", custom_id="n", container_tags=[f"u{number}"])
        for number in range(80)
    ]
    await client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=items))
    other = await client.put(custom_id="other", container_tags=["u1"])
    shared = await client.put(custom_id="shared", container_tags=["u1", "u2"])

    answer = await client.documents.BulkDeleteDocuments(
        d.BulkDeleteDocumentsRequest(ids=["n", "other", "shared", "none"], validate_only=True)
    )
    assert [error.error.reason for error in answer.errors] == [AMBIGUOUS, ABSENT]
    assert set(answer.sample_ids) == {other.id, shared.id}
    with refused(PRECONDITION, AMBIGUOUS) as refusal:
        await client.get("n")
    assert len(set(refusal.info.metadata["ids"].split(","))) == 20
    assert (await client.get("n", "u79")).container_tags == ["u79"]
    async with connect(containers=["u1", "u2", "u3"]) as limited:
        with refused(PRECONDITION, AMBIGUOUS) as refusal:
            await limited.get("n")
        assert len(refusal.info.metadata["ids"].split(",")) == 3
        assert (await limited.get("shared")).id == shared.id


# --- upserts -----------------------------------------------------------------


async def test_an_upsert_without_a_container_takes_the_only_one_or_makes_it_in_the_default_one(
    client: Client,
) -> None:
    first = await client.put("one", custom_id="n")
    assert (await client.get("n")).container_tags == ["default"]
    await move(client, "n", "a", "b")
    second = await client.put("two", custom_id="n")
    assert (second.id, second.created) == (first.id, False)

    other = await client.put("three", custom_id="n", container_tags=["b", "a"])
    assert other.created
    for mode, reason, code in (
        (d.UPSERT_MODE_CREATE_OR_UPDATE, AMBIGUOUS, PRECONDITION),
        (d.UPSERT_MODE_UPDATE_ONLY, AMBIGUOUS, PRECONDITION),
        (d.UPSERT_MODE_CREATE_ONLY, "CUSTOM_ID_EXISTS", StatusCode.ALREADY_EXISTS),
    ):
        with refused(code, reason):
            await client.put("four", custom_id="n", mode=mode)
    with refused(StatusCode.NOT_FOUND, ABSENT):
        mode = d.UPSERT_MODE_UPDATE_ONLY
        await client.put("four", custom_id="n", container_tags=["c"], mode=mode)
    assert sorted(await client.ids()) == sorted([first.id, other.id])


async def test_items_of_one_batch_meet_where_their_homes_do(client: Client) -> None:
    def item(text: str, *tags: str) -> d.UpsertDocumentRequest:
        return d.UpsertDocumentRequest(content=text, custom_id="n", container_tags=tags)

    items = [item("0"), item("1", "a"), item("2", "b"), item("3", "a"), item("4"), item("5", "b")]
    answer = await client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=items))

    receipts = [outcome.receipt for outcome in answer.outcomes]
    assert [receipt.created for receipt in receipts] == [True, True, True, False, False, False]
    assert answer.outcomes[4].error.reason == AMBIGUOUS
    assert receipts[1].id == receipts[3].id
    assert receipts[2].id == receipts[5].id
    contents = {tag: (await client.get("n", tag)).content for tag in ("default", "a", "b")}
    assert contents == {"default": "0", "a": "3", "b": "5"}


async def test_a_conversation_is_begun_in_the_home_that_is_named(client: Client) -> None:
    async def say(text: str, **fields: Any) -> d.AppendMessagesResponse:
        request = d.AppendMessagesRequest(
            id="talk",
            messages=[d.ConversationMessage(text=text)],
            create_if_missing=True,
            **fields,
        )
        return await client.documents.AppendMessages(request)

    ann = await say("one", container_tag="ann")
    assert (await say("two", container_tags=["ann"])).receipt.id == ann.receipt.id
    assert (await say("three")).message_count == 3
    ben = await say("one", container_tags=["ben", "ann"], container_tag="ben")
    assert ben.receipt.created
    with refused(PRECONDITION, AMBIGUOUS):
        await say("four")
    assert (await client.get("talk", "ben")).container_tags == ["ben", "ann"]
    assert (await say("four", container_tag="ann")).message_count == 4


async def test_a_custom_id_may_not_look_like_an_id(client: Client) -> None:
    for name in ("doc_", "doc_mine", "mem_", "mem_0000000000000000000000"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
            await client.put(custom_id=name)
        assert refusal.fields == ["custom_id"]
    for name, code in (("doc_mine", StatusCode.NOT_FOUND), ("mem_x", StatusCode.INVALID_ARGUMENT)):
        request = d.AppendMessagesRequest(
            id=name, messages=[d.ConversationMessage(text="x")], create_if_missing=True
        )
        reason = ABSENT if code is StatusCode.NOT_FOUND else "INVALID_REQUEST"
        with refused(code, reason):
            await client.documents.AppendMessages(request)
    assert await client.ids() == []


# --- another home ------------------------------------------------------------


async def test_an_update_moves_the_custom_id_to_the_new_home(client: Client) -> None:
    made = await client.put(custom_id="n", container_tags=["a", "b"])

    await move(client, "n", "b", "a")
    assert (await client.get("n", "b")).id == made.id
    free = await client.put(custom_id="n", container_tags=["a"])
    assert free.created

    before = await client.get(made.id)
    with refused(StatusCode.ALREADY_EXISTS, "CUSTOM_ID_EXISTS"):
        await move(client, made.id, "a", "b")
    assert await client.get(made.id) == before
    await move(client, made.id, "b", "c", "a")
    await client.documents.DeleteDocument(d.DeleteDocumentRequest(id=free.id))
    await move(client, made.id, "a")
    assert (await client.get("n")).id == made.id


async def test_two_that_move_to_one_home_at_once(client: Client) -> None:
    tags = [f"from{number}" for number in range(12)]
    made = [await client.put(custom_id="n", container_tags=[tag]) for tag in tags]

    done = await asyncio.gather(
        *(move(client, one.id, "home") for one in made), return_exceptions=True
    )

    (moved,) = [one.id for one in done if not isinstance(one, BaseException)]
    assert (await client.get("n", "home")).id == moved
    for tag, one in zip(tags, made, strict=True):
        if one.id != moved:
            assert (await client.get("n", tag)).id == one.id


async def test_exactly_one_document_comes_of_upserts_at_once(client: Client) -> None:
    receipts = await asyncio.gather(
        *(
            client.put(f"{tag} {number}", custom_id="n", container_tags=[tag])
            for number in range(12)
            for tag in ("a", "b")
        )
    )
    assert sum(receipt.created for receipt in receipts) == 2
    assert sorted(await client.ids()) == sorted({receipt.id for receipt in receipts})


async def test_what_leaves_its_home_takes_its_custom_id_along(
    client: Client, service: Service
) -> None:
    made = await client.put(custom_id="n", container_tags=["a", "b", "c"])
    other = await client.put(custom_id="n", container_tags=["c"])

    await leave(client, "a")
    document = await client.get("n", "b")
    assert (document.id, list(document.container_tags)) == (made.id, ["b", "c"])
    assert kinds(service, made.id)[-1] == "document.updated"
    # There its custom id is taken.
    answer = await leave(client, "b")
    assert (answer.detached_count, list(answer.detached_ids)) == (1, [made.id])
    document = await client.get(made.id)
    assert (document.custom_id, list(document.container_tags)) == ("", ["c"])
    assert kinds(service, made.id)[-1] == "document.custom_id_lost"
    assert (await client.get("n")).id == other.id
    assert service.backend.check() == []


async def test_of_two_that_leave_for_one_home_the_older_write_keeps_the_custom_id(
    client: Client, service: Service
) -> None:
    first = await client.put("1", custom_id="n", container_tags=["a", "z"])
    second = await client.put("2", custom_id="n", container_tags=["b", "a", "z"])
    await client.put("1, again", custom_id="n", container_tags=["a"])

    await leave(client, "a", "b")

    assert (await client.get(second.id)).custom_id == "n"
    assert (await client.get(first.id)).custom_id == ""
    assert (await client.get("n", "z")).id == second.id
    assert service.backend.check() == []


async def test_a_deleted_document_leaves_its_custom_id_in_no_container(
    client: Client, connect: Connect, service: Service
) -> None:
    await client.put(custom_id="n", container_tags=["a", "b"])
    await client.put(custom_id="m", container_tags=["a", "b"])
    await client.documents.DeleteDocument(d.DeleteDocumentRequest(id="n"))
    await leave(client, "a", "b")

    async with connect(containers=["b"]) as limited:
        for name in ("n", "m"):
            with refused(StatusCode.NOT_FOUND, ABSENT):
                await limited.get(name)
    assert service.backend.rows("SELECT * FROM shared_custom_ids") == []


# --- memories ----------------------------------------------------------------


async def test_a_source_is_looked_for_in_the_memorys_container_first(client: Client) -> None:
    made = {
        tag: (await client.put(tag, custom_id="n", container_tags=[tag])).id for tag in ("a", "b")
    }

    async def source(container: str, name: str) -> str:
        memory = m.NewMemory(content="x", source_document_id=name)
        (receipt,) = await client.remember(memory, container=container)
        return (await client.memory(receipt.id, container_tag=container)).source_document_id

    assert await source("a", "n") == made["a"]
    assert await source("b", "n") == made["b"]
    assert await source("c", made["a"]) == made["a"]
    with refused(PRECONDITION, AMBIGUOUS) as refusal:
        await source("c", "n")
    assert refusal.fields == ["memories[0].source_document_id"]
    assert refusal.info.metadata["ids"] == ",".join(sorted(made.values()))


def kinds(service: Service, document_id: str) -> list[str]:
    """The kinds of a document's changes, in order."""
    found = service.backend.rows(
        "SELECT DISTINCT revision, kind FROM changes WHERE entity_id = :id ORDER BY revision",
        id=document_id,
    )
    return [row.kind for row in found]
