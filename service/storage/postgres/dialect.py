"""SQLAlchemy on asyncpg, as the storage's statements need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import asyncpg
from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    Connection,
    bindparam,
    event,
)
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import UserDefinedType
from sqlalchemy.util import await_only

from service.core.database_location import PostgresServer
from service.storage import bulk

CONNECT_SECONDS: Final = 5.0
"""How long a connection may take to be made."""

PREPARED: Final = 128
"""Statements that a connection keeps prepared: filters make many that are never repeated, and
the server keeps a plan of each."""

# A plan that reads whole tables is never right, and one that was made while a table was empty
# would stay; a merge of whole indexes is what it takes for the next best.
PLANNING: Final = {"enable_seqscan": "off", "enable_mergejoin": "off", "jit": "off"}


class _Array(UserDefinedType[Any]):
    """An array that the driver takes as a list."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, element: str) -> None:
        self.element = element

    def get_col_spec(self, **_: Any) -> str:
        return f"{self.element}[]"


class Compiler(PGCompiler_asyncpg):
    """Lists of values are one array: the same statement, however many there are."""

    def visit_in_op_binary(self, binary: BinaryExpression[Any], _: Any, **kw: Any) -> str:
        given = binary.right
        if not isinstance(given, BindParameter) or given.unique:
            return self._generate_generic_binary(binary, " IN ", **kw)
        array = bindparam(given.key, type_=_Array(bulk.element(binary.left.type)), required=True)
        return f"{self.process(binary.left, **kw)} = ANY ({self.process(array, **kw)})"


class Dialect(PGDialect_asyncpg):
    """PostgreSQL by asyncpg; JSON stays text."""

    supports_statement_cache = True
    statement_compiler = Compiler

    def on_connect(self) -> Callable[[Any], None] | None:
        return None

    def initialize(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        # See `PostgresConnection` for why in a transaction.
        await_only(driver.execute("BEGIN"))
        try:
            super().initialize(connection)  # type: ignore[no-untyped-call]
        finally:
            await_only(driver.execute("COMMIT"))


registry.register("postgresql.palimpsest", __name__, "Dialect")


def engine_for(
    server: PostgresServer, *, command_timeout: float | None, settings: dict[str, str] | None = None
) -> AsyncEngine:
    """An engine whose connections leave transactions to the caller; it keeps none itself.

    Args:
        server: Where.
        command_timeout: Seconds after which a statement without an answer is given up; None:
            never.
        settings: Of each session. A proxy that gives a connection to each transaction gets
            none: it would refuse them.
    """
    session = {"application_name": "palimpsest"}
    if server.prepare:
        session |= settings or {}

    async def connect(**options: Any) -> asyncpg.Connection:
        return await asyncpg.connect(
            server.url,
            timeout=CONNECT_SECONDS,
            command_timeout=command_timeout,
            statement_cache_size=100 if server.prepare else 0,
            server_settings=session,
            **options,
        )

    options: dict[str, Any] = {"prepared_statement_cache_size": PREPARED if server.prepare else 0}
    if not server.prepare:
        options["prepared_statement_name_func"] = _unnamed
    engine = create_async_engine(
        "postgresql+palimpsest://",
        async_creator=connect,
        connect_args=options,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "before_cursor_execute", _flush_first)
    return engine


def _unnamed() -> str:
    return ""


def _flush_first(conn: Connection, *_: object) -> None:
    bulk.flush(conn)
