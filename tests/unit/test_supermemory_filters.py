"""Filters of Supermemory's API say the same as the filters of the contract made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.v1 import filter_pb2 as pb
from service.core import filters as f
from service.core.errors import Violation
from service.core.metadata import canonical, comparable
from service.core.predicates import predicate
from service.http.supermemory.bodies import Fields
from service.http.supermemory.filters import read_filter
from service.rpc.convert.filters import read

Json = dict[str, Any]


def made(filters: object) -> tuple[pb.Filter | None, list[Violation]]:
    fields = Fields({"filters": filters})
    return read_filter(fields), fields.violations


def matches(filters: object, metadata: Mapping[str, Any]) -> bool:
    """Whether the contract's filter holds for metadata."""
    message, violations = made(filters)
    assert not violations
    assert message is not None
    tree = read(message, "filter", f.Target.DOCUMENT, violations)
    assert not violations
    return predicate(tree, ())(comparable(canonical(metadata)), ())


def says(node: Json, metadata: Mapping[str, Any]) -> bool:
    """What Supermemory's API means, read from the JSON."""
    if "AND" in node:
        return all(says(one, metadata) for one in node["AND"])
    if "OR" in node:
        return any(says(one, metadata) for one in node["OR"])
    held = node["key"] in metadata and _holds(node, metadata[node["key"]])
    return held is not (node.get("negate") in (True, "true"))


def _holds(node: Json, value: Any) -> bool:
    wanted, fold = node["value"], node.get("ignoreCase") in (True, "true")
    if node.get("filterType") == "numeric":
        if isinstance(value, (str, list, bool)):
            return False
        compare = {
            "=": value == float(wanted),
            ">": value > float(wanted),
            ">=": value >= float(wanted),
            "<": value < float(wanted),
            "<=": value <= float(wanted),
        }
        return bool(compare[node.get("numericOperator", "=")])
    if node.get("filterType") == "array_contains":
        return isinstance(value, list) and _folded(wanted, fold) in [
            _folded(one, fold) for one in value
        ]
    if node.get("filterType") == "string_contains":
        return isinstance(value, str) and _folded(wanted, fold) in _folded(value, fold)
    if isinstance(value, bool):
        return bool(wanted == ("true" if value else "false"))
    if isinstance(value, (int, float)):
        return bool(wanted == str(value))
    return isinstance(value, str) and _folded(wanted, fold) == _folded(value, fold)


def _folded(text: str, fold: bool) -> str:
    return text.casefold() if fold else text


keys = st.sampled_from("abc")
texts = st.sampled_from(["x", "X", "xy", "true", "2"])
flags = st.sampled_from([True, False, "true", "false"])
values = st.one_of(texts, st.booleans(), st.integers(1, 3), st.lists(texts, max_size=2))
conditions = st.one_of(
    st.fixed_dictionaries(
        {"key": keys, "value": texts},
        optional={
            "negate": flags,
            "ignoreCase": flags,
            "filterType": st.sampled_from(["metadata", "array_contains", "string_contains"]),
        },
    ),
    st.fixed_dictionaries(
        {
            "key": keys,
            "value": st.sampled_from(["1", "2", "2.5"]),
            "filterType": st.just("numeric"),
        },
        optional={"negate": flags, "numericOperator": st.sampled_from(["=", ">", ">=", "<", "<="])},
    ),
)


def groups(inside: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.builds(
        lambda name, operands: {name: operands},
        st.sampled_from(["AND", "OR"]),
        st.lists(inside, min_size=1, max_size=2),
    )


nested = conditions
for _ in range(5):
    nested = groups(st.one_of(conditions, nested))


@given(filters=nested, metadata=st.dictionaries(keys, values, max_size=3))
def test_a_filter_says_the_same_in_the_contract(filters: Json, metadata: Json) -> None:
    assert matches(filters, metadata) == says(filters, metadata)


def test_json_text_is_as_good_as_an_object() -> None:
    filters = {"OR": [{"key": "a", "value": "x"}]}
    assert made(json.dumps(filters))[0] == made(filters)[0]


def alternating(depth: int, leaf: Json) -> Json:
    """AND and OR in turn, so many deep, with two operands each."""
    node = leaf
    for level in range(depth):
        node = {("AND", "OR")[level % 2]: [node, {"key": f"k{level}", "value": "x"}]}
    return node


def test_five_levels_around_a_negated_number_are_taken() -> None:
    leaf = {"key": "a", "value": "2", "filterType": "numeric", "negate": True}
    deep = alternating(5, leaf)
    full = {f"k{level}": "x" for level in range(5)}
    for metadata in ({}, full, full | {"a": 2}, full | {"a": 3}, {"k4": "x"}, {"k3": "x"}):
        assert matches(deep, metadata) == says(deep, metadata)


def test_what_needs_too_many_conditions_otherwise_is_refused() -> None:
    number = {"key": "a", "value": "2", "filterType": "numeric", "negate": True}
    inner: Json = {"OR": [{"AND": [number, number]}] * 3}
    assert made({"AND": [inner] * 6})[1] == []
    _, violations = made({"AND": [{"OR": [{"AND": [inner] * 6}] * 2}, LEAF]})
    assert [violation.field for violation in violations] == ["filters"]
    assert "too complex" in violations[0].rule


LEAF: Json = {"key": "a", "value": "x"}


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ("{", "filters"),
        ("[]", "filters"),
        (3, "filters"),
        (None, "filters"),
        ([LEAF], "filters"),
        ({}, "filters.key"),
        ({"AND": []}, "filters.AND"),
        ({"AND": LEAF}, "filters.AND"),
        ({"AND": ["x"]}, "filters.AND[0]"),
        ({"AND": [LEAF], "OR": [LEAF]}, "filters.AND"),
        ({"AND": [LEAF], "limit": 1}, "filters.limit"),
        ({"AND": [LEAF, {"OR": [{"key": "a"}]}]}, "filters.AND[1].OR[0].value"),
        ({"AND": [{"key": "no spaces", "value": "x"}]}, "filters.AND[0].key"),
        ({"AND": [LEAF | {"value": 3}]}, "filters.AND[0].value"),
        ({"AND": [LEAF | {"value": "a\0"}]}, "filters.AND[0].value"),
        ({"AND": [LEAF | {"value": "x" * 16_385}]}, "filters.AND[0].value"),
        ({"AND": [LEAF | {"negate": "yes"}]}, "filters.AND[0].negate"),
        ({"AND": [LEAF | {"ignoreCase": 1}]}, "filters.AND[0].ignoreCase"),
        ({"AND": [LEAF | {"filterType": "regex"}]}, "filters.AND[0].filterType"),
        ({"AND": [LEAF | {"filterType": "numeric"}]}, "filters.AND[0].value"),
        (
            {"AND": [{"key": "a", "value": "inf", "filterType": "numeric"}]},
            "filters.AND[0].value",
        ),
        ({"AND": [LEAF | {"numericOperator": ">"}]}, "filters.AND[0].numericOperator"),
        ({"AND": [LEAF | {"value": "", "filterType": "string_contains"}]}, "filters.AND[0].value"),
        ({"AND": [LEAF | {"unknown": 1}]}, "filters.AND[0].unknown"),
        (alternating(6, LEAF), "filters.OR[0].AND[0].OR[0].AND[0].OR[0].AND"),
        ({"AND": [LEAF] * 201}, "filters.AND"),
        ({"AND": [{"OR": [LEAF] * 101}, {"OR": [LEAF] * 101}]}, "filters"),
    ],
)
def test_a_filter_that_says_nothing_is_refused_where_it_is_wrong(
    filters: object, field: str
) -> None:
    message, violations = made(filters)
    assert message is None
    assert field in [violation.field for violation in violations]


def test_ten_thousand_conditions_are_refused_at_once() -> None:
    message, violations = made({"OR": [LEAF] * 10_000})
    assert message is None
    assert [violation.field for violation in violations] == ["filters.OR"]
