"""What filters ask of a row, in the words of each database."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, ColumnElement, Float, String, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


def json_part(column: ColumnElement[Any], key: str, part: str) -> JsonPart:
    """One part of a comparable form, a text or whether it is there; NULL if absent."""
    return JsonPart(column, *_place(key, part))


def number_part(column: ColumnElement[Any], key: str, part: str) -> NumberPart:
    """The same, compared as a number."""
    return NumberPart(column, *_place(key, part))


def instant_part(column: ColumnElement[Any], key: str, part: str) -> InstantPart:
    """The same, compared as a number of microseconds."""
    return InstantPart(column, *_place(key, part))


def json_has(column: ColumnElement[Any], key: str, part: str, value: str) -> JsonHas:
    """Whether the list of texts that a part is has this one."""
    return JsonHas(column, *_place(key, part), literal(value))


def _place(key: str, part: str) -> tuple[ColumnElement[Any], ...]:
    """The path, the key and the part: each database takes what it can use.

    Keys hold no quotes, by the contract's pattern.
    """
    return literal(f'$."{key}".{part}'), literal(key), literal_column(f"'{part}'")


class JsonPart(FunctionElement[Any]):
    """See `json_part`."""

    inherit_cache = True
    name = "json_part"


class NumberPart(JsonPart):
    """See `number_part`."""

    inherit_cache = True
    name = "number_part"
    type = Float()


class InstantPart(JsonPart):
    """See `instant_part`."""

    inherit_cache = True
    name = "instant_part"
    type = BigInteger()


@compiles(JsonPart, "sqlite")
def _json_part_sqlite(element: JsonPart, compiler: Any, **kw: Any) -> str:
    column, path = _processed(element, compiler, kw, 0, 1)
    return f"json_extract({column}, {path})"


@compiles(JsonPart, "postgresql")
def _json_part_postgresql(element: JsonPart, compiler: Any, **kw: Any) -> str:
    column, key, part = _processed(element, compiler, kw, 0, 2, 3)
    return f"({column} -> {key} ->> {part})"


@compiles(NumberPart, "postgresql")
def _number_part_postgresql(element: NumberPart, compiler: Any, **kw: Any) -> str:
    return f"{_json_part_postgresql(element, compiler, **kw)}::float8"


@compiles(InstantPart, "postgresql")
def _instant_part_postgresql(element: InstantPart, compiler: Any, **kw: Any) -> str:
    return f"{_json_part_postgresql(element, compiler, **kw)}::int8"


class JsonHas(FunctionElement[bool]):
    """See `json_has`."""

    inherit_cache = True
    name = "json_has"
    type = Boolean()


@compiles(JsonHas, "sqlite")
def _json_has_sqlite(element: JsonHas, compiler: Any, **kw: Any) -> str:
    column, path, value = _processed(element, compiler, kw, 0, 1, 4)
    return f"EXISTS (SELECT 1 FROM json_each({column}, {path}) AS e WHERE e.value = {value})"  # noqa: S608  (compiled parts)


@compiles(JsonHas, "postgresql")
def _json_has_postgresql(element: JsonHas, compiler: Any, **kw: Any) -> str:
    column, key, part, value = _processed(element, compiler, kw, 0, 2, 3, 4)
    return f"({column} -> {key} -> {part}) ? {value}"


class AnyInstant(FunctionElement[bool]):
    """Whether a JSON list of instants (1st) has one within [2nd, 3rd]."""

    inherit_cache = True
    name = "any_instant"
    type = Boolean()


@compiles(AnyInstant, "sqlite")
def _any_instant_sqlite(element: AnyInstant, compiler: Any, **kw: Any) -> str:
    column, low, high = _processed(element, compiler, kw, 0, 1, 2)
    return f"EXISTS (SELECT 1 FROM json_each({column}) AS e WHERE e.value BETWEEN {low} AND {high})"  # noqa: S608  (compiled parts)


@compiles(AnyInstant, "postgresql")
def _any_instant_postgresql(element: AnyInstant, compiler: Any, **kw: Any) -> str:
    column, low, high = _processed(element, compiler, kw, 0, 1, 2)
    listed = f"jsonb_array_elements_text({column}) AS e (value)"
    return f"EXISTS (SELECT 1 FROM {listed} WHERE e.value::int8 BETWEEN {low} AND {high})"  # noqa: S608  (compiled parts)


FILTER_FUNCTION: Final = "filter_holds"
"""Evaluates a program of `filter_programs` on a row."""


_CALL_FUNCTIONS: Final = frozenset({"sqlite"})


def calls_functions(dialect: str) -> bool:
    """Whether statements can call functions of this process."""
    return dialect in _CALL_FUNCTIONS


class FilterHolds(FunctionElement[bool]):
    """Whether a program (1st) holds of a comparable form (2nd) and fields (the others)."""

    inherit_cache = True
    name = FILTER_FUNCTION
    type = Boolean()


@compiles(FilterHolds, "sqlite")
def _filter_holds_sqlite(element: FilterHolds, compiler: Any, **kw: Any) -> str:
    return f"{FILTER_FUNCTION}({compiler.process(element.clauses, **kw)})"


class TextPosition(FunctionElement[int]):
    """Place of the 2nd text in the 1st, from 1; 0 if it is not there."""

    inherit_cache = True
    name = "text_position"


@compiles(TextPosition, "sqlite")
def _text_position_sqlite(element: TextPosition, compiler: Any, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(TextPosition, "postgresql")
def _text_position_postgresql(element: TextPosition, compiler: Any, **kw: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kw)})"


class FoundFirst(FunctionElement[str]):
    """A text column of the table that a join begins with.

    PostgreSQL would also begin with the other table, if that has the wanted order, and read all
    of a tenant's rows in it to find those of one container.
    """

    inherit_cache = True
    name = "found_first"
    type = String()


@compiles(FoundFirst, "sqlite")
def _found_first_sqlite(element: FoundFirst, compiler: Any, **kw: Any) -> str:
    return _processed(element, compiler, kw, 0)[0]


@compiles(FoundFirst, "postgresql")
def _found_first_postgresql(element: FoundFirst, compiler: Any, **kw: Any) -> str:
    return f"({_processed(element, compiler, kw, 0)[0]} || '')"


class ParsedJson(FunctionElement[Any]):
    """A text of JSON, as it is stored."""

    inherit_cache = True
    name = "parsed_json"


@compiles(ParsedJson, "sqlite")
def _parsed_json_sqlite(element: ParsedJson, compiler: Any, **kw: Any) -> str:
    return _processed(element, compiler, kw, 0)[0]


@compiles(ParsedJson, "postgresql")
def _parsed_json_postgresql(element: ParsedJson, compiler: Any, **kw: Any) -> str:
    return f"({_processed(element, compiler, kw, 0)[0]})::jsonb"


class TransactionId(FunctionElement[str]):
    """What PostgreSQL can be asked by, after a lost connection, whether a transaction committed."""

    inherit_cache = True
    name = "transaction_id"
    type = String()


@compiles(TransactionId, "sqlite")
def _transaction_id_sqlite(*_: Any, **__: Any) -> str:
    return "NULL"


@compiles(TransactionId, "postgresql")
def _transaction_id_postgresql(*_: Any, **__: Any) -> str:
    return "pg_current_xact_id()::text"


def _processed(
    element: FunctionElement[Any], compiler: Any, kw: dict[str, Any], *places: int
) -> list[str]:
    clauses = list(element.clauses)
    return [compiler.process(clauses[place], **kw) for place in places]
