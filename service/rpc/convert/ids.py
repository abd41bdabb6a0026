"""Ids of the wrong kind, refused with the call that takes them."""

from __future__ import annotations

from service.core import ids
from service.core.errors import Violation


def check_document(text: str, path: str, instead: str, violations: list[Violation]) -> None:
    """A call on a document was given `text`; `instead` is what takes a memory's id."""
    if ids.is_memory_id(text):
        violations.append(Violation(path, f"is a memory id; use {instead}"))


def check_memory(text: str, path: str, instead: str, violations: list[Violation]) -> None:
    """A call on a memory was given `text`; `instead` is what takes a document's id."""
    if ids.is_document_id(text):
        violations.append(Violation(path, f"is a document id; use {instead}"))
    elif text.startswith(ids.FORGET_BATCH):
        violations.append(Violation(path, "is a forget batch id; use Memories.RestoreMemories"))


def check_batch(text: str, path: str, violations: list[Violation]) -> None:
    if ids.is_memory_id(text):
        violations.append(Violation(path, "is a memory id; use Memories.RestoreMemory"))
    elif ids.is_document_id(text):
        violations.append(Violation(path, "is a document id; give that of a forget batch"))


def check_source(text: str, path: str, violations: list[Violation]) -> None:
    """Where a memory comes from."""
    if ids.is_memory_id(text):
        violations.append(Violation(path, "is a memory id; give that of a document"))
