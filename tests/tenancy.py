"""Whether a SQL statement names the tenant of every row it touches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlglot
from sqlglot import exp

from service.storage.tables import metadata

OWNED: Final = frozenset(
    table.name
    for table in metadata.sorted_tables
    if "tenant" in table.c and table.name != "tenants"
)
"""Tables whose rows belong to a tenant."""


def unscoped(sql: str, dialect: str = "sqlite") -> list[str]:
    """The tenant-owned tables that a statement touches without saying whose rows.

    A table is named rightly when a condition that every row must meet compares
    its tenant with a value, a list of values, or the tenant of another table for
    which the same holds; when rows are inserted, when their tenant is among the
    columns given.

    Args:
        sql: The statement.
        dialect: The name that sqlglot has for what it is written in.
    """
    tree = sqlglot.parse_one(sql, dialect=dialect)
    common = {common.alias for common in tree.find_all(exp.CTE)}
    return list(_judge(tree, frozenset((*_arrays(tree), *common))))


_ARRAYS: Final = "[]"
"""Ends the names of what is made of parameters, all of whose columns are values."""


def _arrays(tree: exp.Expr) -> Iterator[str]:
    """Names of rows that travel as one array for each column."""
    for made in tree.find_all(exp.Unnest):
        if all(_is_value(array) for array in made.expressions):
            yield made.alias + _ARRAYS


def _judge(node: exp.Expr, outer: frozenset[str]) -> Iterator[str]:
    """`outer`: names of tables around `node` whose tenant is settled."""
    sources = dict(_sources(node))
    settled = _settled(node, set(sources), outer | _derived(node))
    if isinstance(node, exp.Insert):
        columns = {column.name for column in node.this.find_all(exp.Identifier)}
        if node.find(exp.Table).name in OWNED and "tenant" not in columns:  # type: ignore[union-attr]
            yield node.sql()
    for alias, table in sources.items():
        if table in OWNED and alias not in settled:
            yield table
    for inner in _inside(node):
        yield from _judge(inner, settled | outer)


def _sources(node: exp.Expr) -> Iterator[tuple[str, str]]:
    """Alias and name of each table that the statement itself reads or changes."""
    for table in _read(node):
        if isinstance(table, exp.Table):
            yield table.alias_or_name, table.name


def _read(node: exp.Expr) -> Iterator[exp.Expr]:
    """The tables and subqueries that the statement itself reads or changes."""
    tables: list[exp.Expr] = []
    if isinstance(node, (exp.Update, exp.Delete)):
        tables.append(node.this)
    origin = node.args.get("from_") or node.args.get("from")
    if origin is not None:
        tables.append(origin.this)
    tables += [join.this for join in node.args.get("joins") or ()]
    for table in tables:
        yield table
        yield from (join.this for join in table.args.get("joins") or ())


def _derived(node: exp.Expr) -> frozenset[str]:
    """Names of the subqueries it reads, each judged where it is written."""
    return frozenset(table.alias for table in _read(node) if isinstance(table, exp.Subquery))


def _settled(node: exp.Expr, own: set[str], known: frozenset[str]) -> frozenset[str]:
    settled = set(known) - own
    conditions = list(_conditions(node))
    while True:
        before = len(settled)
        for condition in conditions:
            settled |= _settles(condition, own, settled)
        if len(settled) == before:
            return frozenset(settled)


def _conditions(node: exp.Expr) -> Iterator[exp.Expr]:
    """What must hold for every row: the conjuncts of WHERE and of each ON."""
    where = node.args.get("where")
    clauses = [where.this] if where is not None else []
    joins = list(node.args.get("joins") or ())
    origin = node.args.get("from_") or node.args.get("from")
    if origin is not None:
        joins += origin.this.args.get("joins") or ()
    clauses += [join.args["on"] for join in joins if join.args.get("on") is not None]
    for clause in clauses:
        yield from _conjuncts(clause)


def _conjuncts(clause: exp.Expr) -> Iterator[exp.Expr]:
    match clause:
        case exp.Paren():
            yield from _conjuncts(clause.this)
        case exp.And():
            yield from _conjuncts(clause.left)
            yield from _conjuncts(clause.right)
        case _:
            yield clause


def _settles(condition: exp.Expr, own: set[str], settled: set[str]) -> set[str]:
    """The tables whose tenant this condition fixes, given those that are fixed."""
    if isinstance(condition, exp.EQ):
        sides = (condition.left, condition.right)
        found = set()
        for one, other in (sides, sides[::-1]):
            table = _whose_tenant(one, own)
            if table and (
                _is_value(other)
                or _whose_tenant(other, own) in settled
                or (isinstance(other, exp.Column) and other.table + _ARRAYS in settled)
            ):
                found.add(table)
        return found
    if isinstance(condition, exp.In):
        columns = condition.this.expressions or [condition.this]
        return {table for column in columns if (table := _whose_tenant(column, own))}
    return set()


def _whose_tenant(node: exp.Expr, own: set[str]) -> str:
    """The table whose tenant this is; "" when it is something else."""
    if not isinstance(node, exp.Column) or node.name != "tenant":
        return ""
    if node.table:
        return node.table
    return next(iter(own)) if len(own) == 1 else ""


def _is_value(node: exp.Expr) -> bool:
    if isinstance(node, exp.Any):
        return _is_value(node.this.unnest())
    return isinstance(node, (exp.Placeholder, exp.Parameter, exp.Literal, exp.Cast))


def _inside(node: exp.Expr) -> Iterator[exp.Expr]:
    """The queries next inside a statement."""
    for child in node.iter_expressions():
        if isinstance(child, exp.Select):
            yield child
        else:
            yield from _inside(child)
