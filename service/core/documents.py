"""Rules of documents: the effect of a write on the stored document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.core import metadata as md
from service.core.conversations import MAX_BYTES, MAX_MESSAGES, Message, decode, encode
from service.core.digests import TenantDigester
from service.core.errors import (
    PalimpsestError,
    Reason,
    Violation,
    container_not_allowed,
    document_not_found,
    etag_mismatch,
    invalid,
)
from service.core.model import (
    DEFAULT_CONTAINER,
    FILE_KINDS,
    Content,
    ContentKind,
    DocumentPatch,
    DocumentWrite,
    MessagesAppend,
    Principal,
    Status,
    Unset,
    UpsertMode,
    encoded,
)


@dataclass(slots=True)
class DocumentState:
    """What the rules need of a stored document. `containers` are in the order given."""

    id: str
    custom_id: str | None
    content_hash: bytes
    metadata: str
    containers: tuple[str, ...]
    title: str
    document_date: int | None
    status: Status
    etag: str
    revision: int
    create_time: int
    update_time: int
    kind: ContentKind = ContentKind.TEXT

    @property
    def home(self) -> str:
        """Where the custom id is unique."""
        return self.containers[0]

    @property
    def fields(self) -> DocumentFields:
        return DocumentFields(
            content_hash=self.content_hash,
            metadata=self.metadata,
            containers=self.containers,
            title=self.title,
            document_date=self.document_date,
            kind=self.kind,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFields:
    """What callers wrote of a document. `containers` are in the order given."""

    content_hash: bytes
    metadata: str
    containers: tuple[str, ...]
    title: str
    document_date: int | None
    kind: ContentKind

    def etag(self, digester: TenantDigester) -> str:
        """The etag: over what callers wrote, never over processing.

        A new field is the last of `later`, and None where it has its default: documents
        without it then keep their etags.
        """
        tags = "\0".join(self.containers)
        later = (None if self.kind is ContentKind.TEXT else int(self.kind),)
        return digester.etag(
            self.content_hash,
            self.metadata,
            tags,
            self.title,
            self.document_date,
            *without_trailing_nones(later),
        )


def without_trailing_nones(values: Sequence[str | int | None]) -> Sequence[str | int | None]:
    """All up to the last that is not None.

    Each keeps its place: with every None left out, values of different fields would be alike.
    """
    given = [at for at, value in enumerate(values, 1) if value is not None]
    return values[: max(given, default=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDraft:
    """What a document is to become.

    Args:
        content: None where it stays.
        fields: What is written next to the content.
        etag: Of the fields.
        changed: Whether what callers wrote differs from before.
        queue: Whether it must be processed again.
    """

    content: Content | None
    fields: DocumentFields
    etag: str
    changed: bool
    queue: bool


def is_visible(principal: Principal, containers: tuple[str, ...]) -> bool:
    """Whether a document is in any of the key's containers."""
    return principal.containers is None or not principal.containers.isdisjoint(containers)


def check_visible(principal: Principal, containers: tuple[str, ...]) -> None:
    """Raises DOCUMENT_NOT_FOUND for a document outside all the key's containers."""
    if not is_visible(principal, containers):
        raise document_not_found()


def check_writable(principal: Principal, containers: tuple[str, ...]) -> None:
    """Writing or deleting a document needs all its containers."""
    check_visible(principal, containers)
    if principal.containers is not None and not principal.containers.issuperset(containers):
        raise container_not_allowed()


def check_etag(given: str | None, current: str | None) -> None:
    if given and given != current:
        raise etag_mismatch("document")


def draft_upsert(
    digester: TenantDigester,
    principal: Principal,
    write: DocumentWrite,
    current: DocumentState | None,
) -> DocumentDraft:
    """What an upsert makes of `current` (None: no document is meant by its custom id).

    Raises:
        PalimpsestError: with every reason UpsertDocument lists.
    """
    if current is None:
        return _draft_new(digester, principal, write)
    if not set(write.containers).issubset(current.containers):
        raise in_other_container(write.custom_id or "")
    check_writable(principal, current.containers)
    if write.mode is UpsertMode.CREATE_ONLY:
        raise custom_id_exists(write.custom_id or "")
    check_etag(write.etag, current.etag)
    return _draft_change(digester, write, current, current.containers)


def draft_update(
    digester: TenantDigester, principal: Principal, patch: DocumentPatch, current: DocumentState
) -> DocumentDraft:
    """What an update makes of `current`; raises what UpdateDocument lists."""
    check_writable(principal, current.containers)
    check_etag(patch.etag, current.etag)
    containers = patch.containers or current.containers
    return _draft_change(digester, patch, current, containers)


def _draft_new(
    digester: TenantDigester, principal: Principal, write: DocumentWrite
) -> DocumentDraft:
    if write.mode is UpsertMode.UPDATE_ONLY:
        raise document_not_found()
    containers = write.containers or (DEFAULT_CONTAINER,)
    if not all(principal.allows(container) for container in containers):
        raise container_not_allowed()
    check_etag(write.etag, None)
    metadata = md.canonical(md.without_nulls(write.metadata or {}))
    fields = DocumentFields(
        content_hash=digester.content_of_bytes(encoded(write.content)),
        metadata=metadata,
        containers=containers,
        title=write.title or "",
        document_date=None if isinstance(write.document_date, Unset) else write.document_date,
        kind=write.kind or ContentKind.TEXT,
    )
    return DocumentDraft(
        content=write.content,
        fields=fields,
        etag=fields.etag(digester),
        changed=True,
        queue=True,
    )


def _draft_change(
    digester: TenantDigester,
    change: DocumentWrite | DocumentPatch,
    current: DocumentState,
    containers: tuple[str, ...],
) -> DocumentDraft:
    content, content_hash = None, current.content_hash
    if change.content is not None:
        given_hash = digester.content_of_bytes(encoded(change.content))
        if given_hash != content_hash:
            content, content_hash = change.content, given_hash
    metadata = current.metadata
    if change.metadata:
        merged = md.merge(md.parse(metadata), change.metadata)
        if broken := md.merge_violations(merged, "metadata"):
            raise invalid(broken)
        metadata = md.canonical(merged)
    date = change.document_date
    fields = DocumentFields(
        content_hash=content_hash,
        metadata=metadata,
        containers=containers,
        title=current.title if change.title is None else change.title,
        document_date=current.document_date if isinstance(date, Unset) else date,
        kind=_kind(change, current),
    )
    etag = fields.etag(digester)
    changed = etag != current.etag
    queue = changed or (current.status is Status.FAILED and isinstance(change, DocumentWrite))
    return DocumentDraft(content=content, fields=fields, etag=etag, changed=changed, queue=queue)


def _kind(change: DocumentWrite | DocumentPatch, current: DocumentState) -> ContentKind:
    if change.kind is None:
        text = change.content is None or _form(current.kind) is str
        return current.kind if text else ContentKind.TEXT
    if change.content is None and _form(change.kind) is not _form(current.kind):
        has = {str: "a text", Message: "messages", bytes: "a file"}[_form(current.kind)]
        raise invalid([Violation("content_kind", f"needs content: the document has {has}")])
    return change.kind


def _form(kind: ContentKind) -> type:
    """What content of this kind is made of."""
    if kind is ContentKind.CONVERSATION:
        return Message
    return bytes if kind in FILE_KINDS else str


def appended(
    append: MessagesAppend, current: DocumentState, content: bytes
) -> tuple[DocumentPatch, int]:
    """The update that appending messages to a conversation is, and their number then.

    Raises:
        PalimpsestError: NOT_A_CONVERSATION, CONTENT_TOO_LARGE,
            CUSTOM_ID_IN_OTHER_CONTAINER.
    """
    if not set(append.containers).issubset(current.containers):
        raise in_other_container(append.id)
    if current.kind is not ContentKind.CONVERSATION:
        raise PalimpsestError(
            Reason.NOT_A_CONVERSATION,
            "The document has a text or a file, not messages",
            resource=("palimpsest.v1.Document", current.id),
        )
    messages = (*decode(str(content, "utf-8")), *append.messages)
    text = encode(messages)
    if len(text.encode()) > MAX_BYTES or len(messages) > MAX_MESSAGES:
        raise PalimpsestError(
            Reason.CONTENT_TOO_LARGE,
            f"The conversation would have more than {MAX_BYTES:,} bytes or {MAX_MESSAGES:,} "
            "messages; begin another one",
            resource=("palimpsest.v1.Document", current.id),
        )
    patch = DocumentPatch(
        current.id,
        content=text,
        metadata=append.metadata,
        title=append.title,
        etag=append.etag,
        kind=current.kind,
    )
    return patch, len(messages)


def in_other_container(custom_id: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.CUSTOM_ID_IN_OTHER_CONTAINER,
        "The document of this custom_id is not in all the containers named",
        resource=("custom_id", custom_id),
    )


def custom_id_exists(custom_id: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.CUSTOM_ID_EXISTS,
        "A document with this custom_id exists",
        resource=("palimpsest.v1.Document", custom_id),
    )


NAMED: Final = 20
"""How many ids an error lists."""


def ambiguous_custom_id(custom_id: str, ids: Sequence[str]) -> PalimpsestError:
    """`ids`: those of the documents that have it and that the key may see."""
    count = str(len(ids)) if len(ids) <= NAMED else f"More than {NAMED}"
    return PalimpsestError(
        Reason.AMBIGUOUS_CUSTOM_ID,
        f"{count} documents have this custom_id, each in another container; name the container, "
        "or use an id",
        resource=("custom_id", custom_id),
        metadata={"ids": ",".join(sorted(ids)[:NAMED])},
    )


def heading_of(title: str, heading: str) -> str:
    """The heading of a chunk: its document's title, and the headings of its section."""
    parts = (heading,) if heading.startswith(title) else (title, heading)
    return " > ".join(part for part in parts if part)


def indexed_heading(kind: ContentKind, title: str, heading: str) -> str:
    """The heading that is indexed with a chunk's text; a message is indexed without the title."""
    return heading if kind is ContentKind.CONVERSATION else heading_of(title, heading)
