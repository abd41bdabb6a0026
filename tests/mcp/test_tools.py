"""Each tool, as an agent calls it, on a real service."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from palimpsest.v1.memories_pb2 import NewMemory
from tests.client import Client, refused
from tests.inprocess import ManualClock, Service
from tests.mcp.agent import Agent
from tests.mcp.conftest import Agents

READING = {"recall", "context", "history"}
DESTROYING = {"update", "forget", "add_document"}
REPEATABLE = READING | {"update", "forget", "undo"}


async def test_the_list_tells_what_each_tool_takes_and_does(agent: Agent) -> None:
    tools = {tool.name: tool for tool in (await agent.client.list_tools()).tools}

    assert list(tools) == [
        "remember",
        "recall",
        "context",
        "update",
        "forget",
        "undo",
        "add_document",
        "history",
    ]
    for name, tool in tools.items():
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint == (name in READING)
        assert hints.destructive_hint == (name in DESTROYING)
        assert hints.idempotent_hint == (name in REPEATABLE)
        assert hints.open_world_hint is False
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        for argument in tool.input_schema["properties"].values():
            assert argument["description"]
            assert "title" not in argument
            assert argument["type"] != "string" or argument.keys() & {
                "maxLength",
                "pattern",
                "enum",
                "format",
            }
    content = tools["remember"].input_schema["properties"]["content"]
    assert (content["minLength"], content["maxLength"]) == (1, 10_000)


async def test_what_is_remembered_is_recalled_and_in_the_context(
    agent: Agent, client: Client
) -> None:
    made = await agent.data("remember", content="Ann drinks green tea", lasting=True)
    await agent.text("remember", content="The deploy is on Friday\n- at noon")

    assert made["container"] == "default"
    memory = await client.memory(made["id"])
    assert (memory.content, memory.is_static) == ("Ann drinks green tea", True)
    found = await agent.data("recall", query="What does Ann drink?", limit=1)
    assert [(r["kind"], r["id"], r["text"]) for r in found["results"]] == [
        ("memory", made["id"], "Ann drinks green tea")
    ]
    text = await agent.text("recall", query="deploy Friday", limit=1)
    assert text.endswith(": The deploy is on Friday - at noon")
    assert text.startswith("mem_")
    context = await agent.text("context")
    assert "Lasting traits:\n- Ann drinks green tea" in context
    assert "- The deploy is on Friday - at noon" in context


async def test_an_empty_memory_says_so(agent: Agent) -> None:
    assert await agent.text("context") == "Nothing is remembered yet."
    assert await agent.text("recall", query="tea") == "Nothing fits."
    assert await agent.data("recall", query="tea") == {"results": []}


async def test_a_memory_can_end_by_itself(agent: Agent, client: Client, clock: ManualClock) -> None:
    ends = clock.stamp(60)
    made = await agent.data("remember", content="Ann is away", forget_after=ends.ToJsonString())

    assert (await client.memory(made["id"])).forget_after == ends
    error = await agent.error(
        "remember", content="Ann is back", forget_after=clock.stamp(-60).ToJsonString()
    )
    assert error.startswith("forget_after: ")


async def test_an_update_keeps_what_it_does_not_name_and_history_shows_both(
    agent: Agent, client: Client
) -> None:
    metadata = Struct()
    metadata["topic"] = "drinks"
    [receipt] = await client.remember(
        NewMemory(content="Ann drinks tea", is_static=True, metadata=metadata)
    )

    updated = await agent.data("update", id=receipt.id, content="Ann drinks coffee")

    assert (updated["version"], updated["replaced_id"]) == (2, receipt.id)
    memory = await client.memory(updated["id"])
    assert (memory.content, memory.is_static) == ("Ann drinks coffee", True)
    assert memory.metadata == metadata
    stale = await agent.error("update", id=receipt.id, content="Ann drinks water")
    assert updated["id"] in stale
    assert "MEMORY_NOT_LATEST" in stale
    versions = (await agent.data("history", id=receipt.id))["versions"]
    assert [(v["version"], v["text"], v["state"]) for v in versions] == [
        (2, "Ann drinks coffee", "current"),
        (1, "Ann drinks tea", "replaced"),
    ]
    shown = await agent.data("history", id=receipt.id, limit=1)
    assert ([v["version"] for v in shown["versions"]], shown["more"]) == ([2], True)
    lasting = await agent.data("update", id=updated["id"], content="Tea again", lasting=False)
    assert not (await client.memory(lasting["id"])).is_static


async def test_a_query_shows_what_fits_and_forgets_nothing(agent: Agent, client: Client) -> None:
    [tea, _] = await client.remember("Ann drinks green tea", "The deploy is on Friday")

    preview = await agent.data("forget", query="green tea")

    assert [(m["id"], m["text"]) for m in preview["preview"]] == [(tea.id, "Ann drinks green tea")]
    assert (preview["forgotten_ids"], preview["undo_id"]) == ([], "")
    assert not (await client.memory(tea.id)).forgotten
    text = await agent.text("forget", query="green tea")
    assert text.startswith("Nothing is forgotten yet.")
    assert f"\n{tea.id} (" in text
    nothing = await agent.text("forget", query="submarine")
    assert nothing == "Nothing fits, so there is nothing to forget."


async def test_what_is_forgotten_is_never_more_than_the_preview_showed(
    agent: Agent, client: Client
) -> None:
    await client.remember("Ann drinks green tea")
    preview = await agent.data("forget", query="green tea")
    [later] = await client.remember("Bob drinks green tea")

    ids = [match["id"] for match in preview["preview"]]
    done = await agent.data("forget", ids=ids, reason="asked to")

    assert done["forgotten_ids"] == ids
    memory = await client.memory(ids[0])
    assert (memory.forgotten, memory.forget_reason) == (True, "asked to")
    assert not (await client.memory(later.id)).forgotten


async def test_a_query_that_fits_too_many_is_refused(agent: Agent, client: Client) -> None:
    await client.remember(*(f"Ann drinks green tea, cup number {n}" for n in range(26)))

    error = await agent.error("forget", query="green tea", min_score=0.1)

    assert "More than 25 memories fit" in error
    assert len(await client.remembered()) == 26


async def test_ids_and_a_query_do_not_go_together(agent: Agent, client: Client) -> None:
    [tea] = await client.remember("Ann drinks green tea")

    assert "either ids" in await agent.error("forget", ids=[tea.id], query="green tea")
    assert "either ids" in await agent.error("forget")
    assert "either ids" in await agent.error("forget", ids=[], query="")
    assert not (await client.memory(tea.id)).forgotten


async def test_forgetting_takes_all_of_the_ids_or_none(agent: Agent, client: Client) -> None:
    [tea] = await client.remember("Ann drinks green tea")

    error = await agent.error("forget", ids=[tea.id, "mem_0000000000000000000000"])

    assert "mem_0000000000000000000000" in error
    assert "MEMORY_NOT_FOUND" in error
    assert not (await client.memory(tea.id)).forgotten


@pytest.mark.parametrize("form", ["{}", '["{}"]'])
async def test_ids_may_come_as_text(agent: Agent, client: Client, form: str) -> None:
    [tea] = await client.remember("Ann drinks green tea")

    done = await agent.data("forget", ids=form.format(tea.id))

    assert done["forgotten_ids"] == [tea.id]


async def test_undo_brings_back_what_one_call_forgot(agent: Agent, client: Client) -> None:
    tea, deploy, other = await client.remember("Ann drinks tea", "Deploy on Friday", "Other")
    await agent.text("forget", ids=[other.id])
    done = await agent.data("forget", ids=[tea.id, deploy.id])
    assert (await agent.data("undo", id=tea.id))["restored_ids"] == [tea.id]

    undone = await agent.data("undo", id=done["undo_id"])

    assert undone == {"restored_ids": [deploy.id], "skipped_ids": [tea.id]}
    kept = {memory.id for memory in await client.remembered()}
    assert kept == {tea.id, deploy.id}
    assert "MEMORY_NOT_FORGOTTEN" in await agent.error("undo", id=tea.id)
    assert "FORGET_BATCH_NOT_FOUND" in await agent.error("undo", id="fgt_0")


async def test_documents_are_found_and_replaced_by_name(agent: Agent, client: Client) -> None:
    added = await agent.data(
        "add_document",
        content="# Brewing\n\nPour water of eighty degrees.",
        kind="markdown",
        title="Tea",
        name="notes/tea.md",
        wait=True,
    )

    assert (added["status"], added["created"]) == ("done", True)
    document = await client.get(added["id"])
    assert (document.title, document.custom_id) == ("Tea", "notes/tea.md")
    [passage] = (await agent.data("recall", query="eighty degrees"))["results"]
    assert (passage["kind"], passage["id"], passage["source"]) == (
        "document",
        added["id"],
        "Tea > Brewing",
    )
    assert ", Tea > Brewing): Brewing Pour water" in await agent.text(
        "recall", query="eighty degrees"
    )
    assert await agent.data("recall", query="eighty degrees", documents=False) == {"results": []}
    text = await agent.text("add_document", content="Pour water.", name="notes/tea.md")
    assert text == f"Replaced: {added['id']} (queued)."


async def test_mistakes_are_named_as_the_tools_name_them(agent: Agent) -> None:
    assert await agent.error("remember", content="") == (
        "content: String should have at least 1 character (INVALID_REQUEST)."
    )
    assert "wanted: there is no such argument" in await agent.error("recall", query="x", wanted=1)
    assert (await agent.error("recall", query="x", limit=51)).startswith("limit: ")
    assert (await agent.error("recall", query="x", container="a b")).startswith("container: ")
    # The server's own rules.
    assert (await agent.error("add_document", content="x", name="doc_1")).startswith("name: ")
    assert (await agent.error("forget", ids=["mem_1"], reason="a\0b")).startswith("reason: ")
    assert "years" in await agent.error(
        "remember", content="x", forget_after="0001-01-01T00:00:00+23:59"
    )
    # Null is an argument left out.
    assert await agent.text("recall", query="x", container=None) == "Nothing fits."


async def test_the_container_of_the_connection_can_be_overridden(
    agents: Agents, client: Client
) -> None:
    async with agents(container="project:a") as agent:
        made = await agent.data("remember", content="Ann drinks tea")
        other = await agent.data("remember", content="Bob drinks tea", container="b")

        assert (made["container"], other["container"]) == ("project:a", "b")
        found = await agent.data("recall", query="tea")
        assert [r["id"] for r in found["results"]] == [made["id"]]
        error = await agent.error("update", id=other["id"], content="x")
        assert error == "Memory not found (MEMORY_NOT_FOUND). Take an id that recall answers."
        assert await agent.text("update", id=other["id"], content="x", container="b")
    with refused(grpc.StatusCode.NOT_FOUND, "MEMORY_NOT_FOUND"):
        await client.memory(made["id"])


async def test_a_key_decides_what_an_agent_may(agents: Agents, service: Service) -> None:
    limited = service.create_key(containers=["a"])
    async with agents(limited, container="a") as agent:
        assert await agent.text("remember", content="Ann drinks tea")
        error = await agent.error("recall", query="tea", container="b")
        assert "CONTAINER_NOT_ALLOWED" in error
    async with agents(service.create_key(read_only=True), container="a") as agent:
        assert "Ann drinks tea" in await agent.text("recall", query="tea")
        assert "KEY_READ_ONLY" in await agent.error("remember", content="x")


async def test_a_key_that_was_revoked_is_told_to_the_agent(
    agents: Agents, service: Service
) -> None:
    key = service.create_key()
    async with agents(key) as agent:
        await agent.text("remember", content="Ann drinks tea")
        service.revoke_key(key)

        error = await agent.error("recall", query="tea")

    assert "--key-file" in error
    assert "Ann" not in error


async def test_tenants_do_not_meet(agents: Agents, service: Service) -> None:
    one = agents(service.create_key(tenant="one"))
    two = agents(service.create_key(tenant="two"))
    async with one as ann, two as bob:
        made = await ann.data("remember", content="Ann drinks tea")
        assert await bob.text("recall", query="tea") == "Nothing fits."
        assert await bob.text("context") == "Nothing is remembered yet."
        for tool, arguments in (
            ("update", {"id": made["id"], "content": "x"}),
            ("forget", {"ids": [made["id"]]}),
            ("history", {"id": made["id"]}),
            ("undo", {"id": made["id"]}),
        ):
            assert "MEMORY_NOT_FOUND" in await bob.error(tool, **arguments)
