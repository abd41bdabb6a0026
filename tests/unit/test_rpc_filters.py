"""Filters, read from messages."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from palimpsest.v1 import filter_pb2 as pb
from service.core import filters as f
from service.core.errors import Violation
from service.rpc.convert.filters import read


def convert(
    tree: dict[str, Any], kind: f.Target = f.Target.DOCUMENT
) -> tuple[f.Filter, list[Violation]]:
    violations: list[Violation] = []
    message = json_format.ParseDict(tree, pb.Filter())
    return read(message, "filter", kind, violations), violations


def condition(**fields: object) -> dict[str, object]:
    return {"condition": fields}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"equals_string": "x", "ignore_case": True}, f.EqualsString("x", True)),
        ({"equals_number": 2}, f.EqualsNumber(2.0)),
        ({"equals_bool": False}, f.EqualsBool(False)),
        ({"greater_than": 1}, f.CompareNumber(f.Op.GT, 1.0)),
        ({"greater_or_equal": 1}, f.CompareNumber(f.Op.GE, 1.0)),
        ({"less_than": 1}, f.CompareNumber(f.Op.LT, 1.0)),
        ({"less_or_equal": 1}, f.CompareNumber(f.Op.LE, 1.0)),
        ({"after": "1970-01-02"}, f.CompareInstant(f.Op.GT, 86_400_000_000)),
        ({"at_or_after": "1970-01-01"}, f.CompareInstant(f.Op.GE, 0)),
        ({"before": "1970-01-01"}, f.CompareInstant(f.Op.LT, 0)),
        ({"at_or_before": "1970-01-01T00:00:01Z"}, f.CompareInstant(f.Op.LE, 1_000_000)),
        ({"contains": "x"}, f.Contains("x")),
        ({"list_contains": "x", "ignore_case": True}, f.ListContains("x", True)),
        ({"exists": True}, f.Exists()),
    ],
)
def test_every_test_is_read(given: dict[str, object], expected: f.Test) -> None:
    assert convert(condition(key="k", **given)) == (f.Condition("k", expected), [])


def test_every_test_of_the_contract_is_known() -> None:
    tests = pb.Condition.DESCRIPTOR.oneofs_by_name["test"].fields
    for field in tests:
        message = pb.Filter()
        message.condition.key = "k"
        value = True if field.cpp_type == field.CPPTYPE_BOOL else 1
        text = "2026-01-01" if field.cpp_type == field.CPPTYPE_STRING else value
        setattr(message.condition, field.name, text)
        violations: list[Violation] = []
        assert isinstance(read(message, "filter", f.Target.MEMORY, violations), f.Condition)
        assert not violations


def test_the_tree_keeps_its_shape() -> None:
    match = {"match": {"key": "deleted", "value": "true", "negate": True}}
    loose = f.Match("deleted", "true")
    assert convert({"all_of": {"filters": [match, {"negated": match}]}}) == (
        f.AllOf((f.Not(loose), f.Not(f.Not(loose)))),
        [],
    )


@pytest.mark.parametrize(
    ("tree", "kind", "path"),
    [
        (condition(key="k", after="soon"), f.Target.DOCUMENT, "condition.after"),
        (
            condition(key="k", equals_number=1, ignore_case=True),
            f.Target.DOCUMENT,
            "condition.ignore_case",
        ),
        (
            condition(field="FILTER_FIELD_CREATED", equals_string="x"),
            f.Target.DOCUMENT,
            "condition.field",
        ),
        (
            condition(field="FILTER_FIELD_STATIC", equals_bool=True),
            f.Target.DOCUMENT,
            "condition.field",
        ),
        (
            condition(field="FILTER_FIELD_STATUS", equals_string="DONE"),
            f.Target.MEMORY,
            "condition.field",
        ),
        (
            condition(field="FILTER_FIELD_STATUS", equals_string="done"),
            f.Target.DOCUMENT,
            "condition.equals_string",
        ),
    ],
)
def test_what_can_never_be_right_is_refused(
    tree: dict[str, object], kind: f.Target, path: str
) -> None:
    _, violations = convert({"any_of": {"filters": [tree]}}, kind)
    assert [violation.field for violation in violations] == [f"filter.any_of.filters[0].{path}"]


def test_five_levels_are_allowed_and_six_are_not() -> None:
    tree: dict[str, object] = condition(key="k", exists=True)
    for _ in range(4):
        tree = {"negated": tree}
    assert convert(tree)[1] == []
    _, violations = convert({"negated": tree})
    assert [violation.field for violation in violations] == ["filter" + ".negated" * 5]


@pytest.mark.parametrize(("count", "refused"), [(200, False), (201, True)])
def test_two_hundred_conditions_are_allowed(count: int, refused: bool) -> None:
    leaf = condition(key="k", exists=True)
    halves = [leaf] * (count // 2), [leaf] * (count - count // 2)
    _, violations = convert(
        {"all_of": {"filters": [{"any_of": {"filters": half}} for half in halves]}}
    )
    assert bool(violations) is refused
