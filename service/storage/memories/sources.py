"""Links from memories to the documents they come from, as keys may see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from service.core.documents import is_visible
from service.core.model import Memory, Principal
from service.ports.store import Page
from service.storage.documents.rows import containers_of


def visible_sources(conn: Connection, read: Sequence[tuple[Principal, Memory]]) -> list[Memory]:
    """The memories, without links to documents that their reader may not see.

    A link is judged by the containers that the document is in now: one more statement
    for each tenant, and none where no reader is limited or nothing is linked.
    """
    linked: dict[int, set[str]] = defaultdict(set)
    for principal, memory in read:
        if principal.containers is not None and memory.source_document_id is not None:
            linked[principal.tenant].add(memory.source_document_id)
    found = {
        (tenant, name): containers
        for tenant, names in linked.items()
        for name, containers in containers_of(conn, tenant, names).items()
    }

    def shown(principal: Principal, memory: Memory) -> Memory:
        source = memory.source_document_id
        if principal.containers is None or source is None:
            return memory
        if is_visible(principal, found.get((principal.tenant, source), ())):
            return memory
        return replace(memory, source_document_id=None)

    return [shown(principal, memory) for principal, memory in read]


def is_source_visible(conn: Connection, principal: Principal, document_id: str | None) -> bool:
    """Whether the key may know which memories came from a document (None: from any)."""
    if document_id is None or principal.containers is None:
        return True
    return is_visible(
        principal, containers_of(conn, principal.tenant, [document_id]).get(document_id, ())
    )


def with_visible_sources(
    conn: Connection, principal: Principal, page: Page[Memory]
) -> Page[Memory]:
    """A page of memories, without links to documents that the key may not see."""
    return replace(
        page, items=visible_sources(conn, [(principal, memory) for memory in page.items])
    )
