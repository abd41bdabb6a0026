"""Containers, and what deleting one answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Container:
    tag: str
    documents: int
    memories: int
    create_time: int


@dataclass(frozen=True, slots=True)
class ContainerDeleteReceipt:
    documents: int
    detached: int
    memories: int
    container_deleted: bool
    revision: int
    complete: bool
    sample_ids: tuple[str, ...] = ()
    upto: int | None = None
    """Of an unfinished one: the revision it was fixed at, to go on with."""
    detached_ids: tuple[str, ...] = ()
    """The first of those that are detached."""
