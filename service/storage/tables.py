"""The schema. Every tenant-owned table leads with the tenant in its primary key.

Instants are microseconds. JSON is kept as text, so that what was written is
what is read; texts that callers may fill with anything are bytes of UTF-8.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

from service.core.actors import MAX_ACTOR
from service.storage.functions import ParsedJson


class JsonText(TypeDecorator[str]):
    """JSON that filters look into: PostgreSQL keeps it parsed."""

    impl = Text
    cache_ok = True

    def bind_expression(self, bindvalue: BindParameter[str]) -> ColumnElement[Any]:
        return ParsedJson(bindvalue)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _tenant() -> Column[int]:
    return Column("tenant", Integer, primary_key=True, autoincrement=False)


def _checksum() -> Column[bytes]:
    """See `checksums` for the columns that it covers."""
    return Column("checksum", LargeBinary, nullable=False, server_default=text("x''"))


secrets = Table(
    "secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    # From this one on every change is kept; one more than `revision`: none is.
    Column("oldest_revision", BigInteger, nullable=False, server_default=text("1")),
)

api_keys = Table(
    "api_keys",
    metadata,
    _tenant(),
    Column("key_id", String(40), primary_key=True),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("containers", Text),
    Column("read_only", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("revoke_time", BigInteger),
    _checksum(),
    sqlite_with_rowid=False,
)

containers = Table(
    "containers",
    metadata,
    _tenant(),
    Column("container", String(100), primary_key=True),
    Column("create_time", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    # Chains whose latest version is not recorded as forgotten or expired.
    Column("memories", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# With a rowid, unlike most: its rows hold callers' texts, and in SQLite a table
# without one leaves ten times as many copies of deleted rows in page slack.
documents = Table(
    "documents",
    metadata,
    _tenant(),
    Column("id", String(40), primary_key=True),
    Column("custom_id", String(100)),
    # The first of its containers, where its custom id is unique.
    Column("home", String(100), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("comparable", JsonText, nullable=False),
    # In the order they were given.
    Column("containers", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("document_date", BigInteger),
    Column("status", SmallInteger, nullable=False),
    Column("etag", String(40), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    Column("error", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("kind", SmallInteger, nullable=False, server_default=text("1")),
    UniqueConstraint("tenant", "custom_id", "home"),
    Index(None, "tenant", "revision"),
)

# Apart from its document, so that lists and filters never read past it.
document_contents = Table(
    "document_contents",
    metadata,
    _tenant(),
    Column("document_id", String(40), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

document_containers = Table(
    "document_containers",
    metadata,
    _tenant(),
    Column("container", String(100), primary_key=True),
    Column("document_id", String(40), primary_key=True),
    # The document's, kept here too so that a container lists in update order.
    Column("revision", BigInteger, nullable=False),
    Index(None, "tenant", "container", "revision"),
    sqlite_with_rowid=False,
)

# Custom ids in the containers of their documents that are not their home, so that a key
# finds at once what it may see of all that have one. With a rowid, as documents are.
shared_custom_ids = Table(
    "shared_custom_ids",
    metadata,
    _tenant(),
    Column("document_id", String(40), primary_key=True),
    Column("container", String(100), primary_key=True),
    Column("custom_id", String(100), nullable=False),
    Index(None, "tenant", "custom_id", "container"),
)

NOT_FRESH = 1_000_000_000_000
"""More than any revision, and less than any instant of a clock that is not years off."""

# One row for each document that waits to be processed or is.
jobs = Table(
    "jobs",
    metadata,
    _tenant(),
    Column("document_id", String(40), primary_key=True),
    # The write it is about: a newer write makes an older result worthless.
    Column("revision", BigInteger, nullable=False),
    # When a worker may take it: its revision, which is at once and in order of writing;
    # after a pause, an instant; while it is held, what `leases.stamp` makes.
    Column("due_time", BigInteger, nullable=False),
    # One of the document's containers: they take turns.
    Column("lane", String(100), nullable=False, server_default=""),
    # The lease of the worker that has it.
    Column("holder", String(40)),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Index(None, "tenant", "lane", "due_time"),
    Index(
        "ix_jobs_put_off",
        "due_time",
        sqlite_where=text(f"due_time > {NOT_FRESH}"),
    ),
    sqlite_with_rowid=False,
)

# Vector spaces; a vector is compared only with vectors of its own.
embedders = Table(
    "embedders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("dimension", Integer, nullable=False),
)

# The first byte of an entry: the version of the analysis whose terms it has.
_VERSION = text("substr(entry, 1, 1)")

chunks = Table(
    "chunks",
    metadata,
    _tenant(),
    Column("document_id", String(40), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("chunk_id", String(40), nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("ends", Integer, nullable=False),
    Column("heading", LargeBinary, nullable=False),
    Column("speaker", LargeBinary, nullable=False),
    Column("instant", BigInteger),
    Column("digest", LargeBinary, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("vector", LargeBinary),
    Column("embedder", Integer, nullable=False),
    _checksum(),
    Column("utc_offset", Integer),
    Index("ix_chunks_indexed", "embedder", _VERSION, "tenant", "document_id", "position"),
)

memories = Table(
    "memories",
    metadata,
    _tenant(),
    Column("id", String(40), primary_key=True),
    Column("container", String(100), nullable=False),
    Column("root_id", String(40), nullable=False),
    Column("parent_id", String(40)),
    Column("version", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("comparable", JsonText, nullable=False),
    Column("is_static", Boolean, nullable=False),
    Column("document_date", Text),
    Column("document_instant", BigInteger),
    Column("event_dates", Text, nullable=False),
    Column("event_instants", JsonText, nullable=False),
    Column("source_document_id", String(40)),
    Column("create_time", BigInteger, nullable=False),
    Column("embedder", Integer, nullable=False, server_default=text("0")),
    Column("entry", LargeBinary),
    Column("vector", LargeBinary),
    _checksum(),
    Column("actor", String(MAX_ACTOR)),
    UniqueConstraint("tenant", "root_id", "version"),
    Index("ix_memories_indexed", "embedder", _VERSION, "tenant", "id"),
    Index(
        None,
        "tenant",
        "source_document_id",
        sqlite_where=text("source_document_id IS NOT NULL"),
    ),
)

memory_spans = Table(
    "memory_spans",
    metadata,
    _tenant(),
    Column("memory_id", String(40), primary_key=True),
    Column("shown_from", BigInteger, primary_key=True, autoincrement=False),
    Column("container", String(100), nullable=False),
    Column("root_id", String(40), nullable=False),
    Column("shown_until", BigInteger, nullable=False),
    Column("state_until", BigInteger, nullable=False),
    Column("end_kind", SmallInteger, nullable=False),
    Column("forget_after", BigInteger),
    Column("forget_reason", Text, nullable=False),
    Column("end_reason", Text, nullable=False),
    Column("forget_batch_id", String(40)),
    Column("content_hash", LargeBinary, nullable=False),
    # Of the change that made the span what it is.
    Column("revision", BigInteger, nullable=False),
    _checksum(),
    Index(None, "tenant", "container", "end_kind", "root_id", "memory_id"),
    Index(None, "tenant", "container", "end_kind", "memory_id"),
    Index(None, "tenant", "container", "content_hash", "end_kind"),
    Index(
        "ix_memory_spans_due",
        "end_kind",
        "shown_until",
        sqlite_where=text("forget_after IS NOT NULL"),
    ),
    Index(
        None,
        "tenant",
        "forget_batch_id",
        sqlite_where=text("forget_batch_id IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# A change of a document in several containers has a row for each. Those of a container
# that was deleted have a digest of its tag.
changes = Table(
    "changes",
    metadata,
    _tenant(),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("container", String(100), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("entity_id", String(100), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("request_id", String(36)),
    # On whose behalf it was made, if the caller said.
    Column("actor", String(MAX_ACTOR)),
    Index(None, "tenant", "container", "revision"),
    sqlite_with_rowid=False,
)

# Tags of deleted containers that changes up to a revision still have.
erased_containers = Table(
    "erased_containers",
    metadata,
    _tenant(),
    Column("container", String(100), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

requests = Table(
    "requests",
    metadata,
    _tenant(),
    Column("request_id", String(36), primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Index(None, "create_time"),
    sqlite_with_rowid=False,
)

# Where changes are sent to. A few rows, which the operator adds.
webhooks = Table(
    "webhooks",
    metadata,
    _tenant(),
    Column("id", String(40), primary_key=True),
    Column("url", Text, nullable=False),
    # In the clear: it signs what is sent.
    Column("secret", LargeBinary, nullable=False),
    Column("containers", Text, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("allow_private", Boolean, nullable=False),
    # Everything up to this revision has been delivered, or was not asked for.
    Column("position", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("next_attempt", BigInteger, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    # The process that delivers, and a number that it changes as long as it does.
    Column("holder", String(40)),
    Column("beat", BigInteger, nullable=False),
)
