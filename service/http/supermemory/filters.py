"""Filters of Supermemory's API, as those of the contract.

Supermemory's API nests AND and OR five deep, and each condition can be negated and can ignore case.
Where that takes more levels than the contract has, the tree is written as an OR of ANDs, or as an
AND of ORs, which says the same.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from palimpsest.v1 import filter_pb2 as pb
from service.core.errors import PalimpsestError
from service.core.filters import MAX_CONDITIONS, MAX_LEVELS
from service.http.supermemory.bodies import Fields, parse

MAX_GROUPS: Final = 5
"""How many AND and OR there may be around a condition."""

_MAX_VALUE_BYTES: Final = 16_384
_KEY: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TESTS: Final = {
    "=": "equals_number",
    ">": "greater_than",
    ">=": "greater_or_equal",
    "<": "less_than",
    "<=": "less_or_equal",
}
_GROUPS: Final = ("AND", "OR")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A condition, which takes so many levels."""

    message: pb.Filter
    levels: int


@dataclass(frozen=True, slots=True)
class _Group:
    """All (`every`) or any of some operands; there are two at least."""

    every: bool
    operands: tuple[_Node, ...]


_Node: TypeAlias = _Leaf | _Group


def read_filter(fields: Fields, name: str = "filters") -> pb.Filter | None:
    """The filter that a member is: an object, or JSON text of one; None: there is none."""
    given = fields.anything(name)
    if isinstance(given, str):
        try:
            given = parse(given.encode(), name)
        except PalimpsestError as error:
            fields.refuse(name, error.message.removeprefix(f"{name} "))
            return None
    if not isinstance(given, dict):
        if fields.has(name):
            fields.refuse(name, "must be an object with AND or OR, or JSON text of one")
        return None
    before = len(fields.violations)
    reader = _Reader()
    node = reader.node(fields.inside(given, name), 0)
    if len(fields.violations) > before or node is None:
        return None
    if reader.conditions > MAX_CONDITIONS:
        fields.refuse(name, f"must have at most {MAX_CONDITIONS} conditions")
        return None
    fitting = _fitting(node)
    if fitting is None:
        fields.refuse(name, f"is too complex: with {MAX_CONDITIONS} conditions it cannot be said")
        return None
    return _message(fitting)


class _Reader:
    """Reads one filter, counting as it goes."""

    def __init__(self) -> None:
        self.conditions = 0

    def node(self, fields: Fields, groups: int) -> _Node | None:
        """Args: `groups`: how many AND and OR are around it."""
        given = [name for name in _GROUPS if fields.has(name)]
        if not given:
            self.conditions += 1
            return _condition(fields)
        if len(given) > 1:
            fields.refuse("AND", "must not be given together with OR")
            return None
        if groups == MAX_GROUPS:
            fields.refuse(given[0], f"AND and OR must be nested at most {MAX_GROUPS} deep")
            return None
        read = []
        for inside in fields.objects(given[0], MAX_CONDITIONS):
            read.append(self.node(inside, groups + 1))
            if self.conditions > MAX_CONDITIONS:
                break
        fields.refuse_unknown()
        operands = [node for node in read if node is not None]
        return _group(given[0] == "AND", operands) if operands else None


def _group(every: bool, operands: Sequence[_Node]) -> _Node:
    """A group without groups of its own kind in it, and without one if it has one operand."""
    flat: list[_Node] = []
    for operand in operands:
        if isinstance(operand, _Group) and operand.every is every:
            flat.extend(operand.operands)
        else:
            flat.append(operand)
    return flat[0] if len(flat) == 1 else _Group(every, tuple(flat))


def _condition(fields: Fields) -> _Node | None:
    key = fields.needed("key")
    value = fields.text("value")
    if not fields.has("value"):
        fields.refuse("value", "must be given")
    kind = fields.choice("filterType", "metadata", "numeric", "array_contains", "string_contains")
    operator = fields.choice("numericOperator", *_TESTS)
    negate, ignore_case = fields.flag("negate"), fields.flag("ignoreCase")
    fields.refuse_unknown()
    if key and not _KEY.fullmatch(key):
        fields.refuse("key", "must match ^[A-Za-z0-9_.-]{1,64}$")
    if operator is not None and kind != "numeric":
        fields.refuse("numericOperator", "goes only with filterType numeric")
    if value is None:
        return None
    if len(value.encode()) > _MAX_VALUE_BYTES or "\0" in value:
        fields.refuse("value", f"must be at most {_MAX_VALUE_BYTES:,} bytes, without NUL")
    match kind:
        case "numeric":
            number = float(value) if _NUMBER.fullmatch(value) else math.nan
            if not math.isfinite(number):
                fields.refuse("value", "must be a number, written as a string")
                return None
            return _tested(key, {_TESTS[operator or "="]: number}, negate)
        case "array_contains":
            return _tested(key, {"list_contains": value, "ignore_case": ignore_case}, negate)
        case "string_contains":
            if not value:
                fields.refuse("value", "must not be empty")
            return _tested(key, {"contains": value, "ignore_case": ignore_case}, negate)
    match = pb.MatchCondition(key=key, value=value, negate=negate)
    exact = _Leaf(pb.Filter(match=match), 1)
    if not ignore_case:
        return exact
    # Booleans and numbers have no case, and are equal in the loose form alone.
    folded = _tested(key, {"equals_string": value, "ignore_case": True}, negate)
    return _Group(negate, (exact, folded))


def _tested(key: str, test: Mapping[str, Any], negate: bool) -> _Leaf:
    message = pb.Filter(condition=pb.Condition(key=key, **test))
    return _Leaf(pb.Filter(negated=message), 2) if negate else _Leaf(message, 1)


def _levels(node: _Node) -> int:
    return node.levels if isinstance(node, _Leaf) else 1 + max(map(_levels, node.operands))


def _size(node: _Node) -> int:
    return 1 if isinstance(node, _Leaf) else sum(map(_size, node.operands))


def _fitting(node: _Node) -> _Node | None:
    """The node, or one that says the same, within the limits of the contract."""
    if _levels(node) <= MAX_LEVELS and _size(node) <= MAX_CONDITIONS:
        return node
    for every in (False, True):
        flat = _normal(node, every)
        if flat is not None:
            terms = [_group(not every, term) for term in flat]
            return _group(every, terms)
    return None


def _normal(node: _Node, every: bool) -> list[list[_Node]] | None:
    """As a group (`every`) of groups of the other kind; None: with too many conditions."""
    if isinstance(node, _Leaf):
        return [[node]]
    parts = [_normal(operand, every) for operand in node.operands]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if node.every is every:
        terms = [term for part in known for term in part]
        return terms if sum(map(len, terms)) <= MAX_CONDITIONS else None
    if math.prod(map(len, known)) > MAX_CONDITIONS:
        return None
    terms = [list(itertools.chain(*chosen)) for chosen in itertools.product(*known)]
    return terms if sum(map(len, terms)) <= MAX_CONDITIONS else None


def _message(node: _Node) -> pb.Filter:
    if isinstance(node, _Leaf):
        return node.message
    listed = pb.FilterList(filters=map(_message, node.operands))
    return pb.Filter(all_of=listed) if node.every else pb.Filter(any_of=listed)
