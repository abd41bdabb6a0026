"""Filters: the wire's tree to that of the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from palimpsest.v1 import filter_pb2 as pb
from service.core import filters as f
from service.core.errors import Violation
from service.core.model import Status
from service.core.times import parse_instant

_NOTHING: Final = f.AnyOf(())
_FIELDS: Final = {
    int(number): f.Field[name.removeprefix("FILTER_FIELD_")]
    for name, number in pb.FilterField.items()
    if number
}
_NUMBERS: Final = {
    "greater_than": f.Op.GT,
    "greater_or_equal": f.Op.GE,
    "less_than": f.Op.LT,
    "less_or_equal": f.Op.LE,
}
_INSTANTS: Final = {
    "after": f.Op.GT,
    "at_or_after": f.Op.GE,
    "before": f.Op.LT,
    "at_or_before": f.Op.LE,
}
_TEXTS: Final[dict[str, Callable[[str, bool], f.Test]]] = {
    "equals_string": f.EqualsString,
    "contains": f.Contains,
    "list_contains": f.ListContains,
}
_STATUSES: Final = ", ".join(status.name for status in Status)


class _Reader:
    """Reads one filter, counting as it goes."""

    def __init__(self, kind: f.Target, violations: list[Violation]) -> None:
        self.kind = kind
        self.violations = violations
        self.conditions = 0

    def tree(self, node: pb.Filter, path: str, level: int) -> f.Filter:
        if level > f.MAX_LEVELS:
            self.violations.append(Violation(path, f"must be at most {f.MAX_LEVELS} levels deep"))
            return _NOTHING
        match node.WhichOneof("expression"):
            case "all_of":
                return f.AllOf(self.operands(node.all_of, f"{path}.all_of", level))
            case "any_of":
                return f.AnyOf(self.operands(node.any_of, f"{path}.any_of", level))
            case "negated":
                return f.Not(self.tree(node.negated, f"{path}.negated", level + 1))
            case "condition":
                self.conditions += 1
                return self.condition(node.condition, f"{path}.condition")
            case "match":
                self.conditions += 1
                loose = f.Match(node.match.key, node.match.value)
                return f.Not(loose) if node.match.negate else loose
            case _:
                return _NOTHING

    def operands(self, listed: pb.FilterList, path: str, level: int) -> tuple[f.Filter, ...]:
        read: list[f.Filter] = []
        for index, operand in enumerate(listed.filters):
            if self.conditions > f.MAX_CONDITIONS:
                break
            read.append(self.tree(operand, f"{path}.filters[{index}]", level + 1))
        return tuple(read)

    def condition(self, condition: pb.Condition, path: str) -> f.Filter:
        test = self.test(condition, path)
        if condition.ignore_case and condition.WhichOneof("test") not in _TEXTS:
            self.violations.append(
                Violation(
                    f"{path}.ignore_case",
                    "goes only with equals_string, contains and list_contains",
                )
            )
        if test is None:
            return _NOTHING
        if condition.WhichOneof("subject") == "key":
            return f.Condition(condition.key, test)
        field = _FIELDS.get(condition.field)
        if field is None:
            return _NOTHING
        rule = f.field_violation(field, test, self.kind)
        if rule is not None:
            self.violations.append(Violation(f"{path}.field", f"{field.name}: {rule}"))
        elif field is f.Field.STATUS and condition.equals_string not in Status.__members__:
            self.violations.append(
                Violation(f"{path}.equals_string", f"must be one of {_STATUSES}")
            )
        return f.Condition(field, test)

    def test(self, condition: pb.Condition, path: str) -> f.Test | None:
        name = condition.WhichOneof("test")
        if name is None:
            return None
        value = getattr(condition, name)
        if name in _TEXTS:
            return _TEXTS[name](value, condition.ignore_case)
        if name in _NUMBERS:
            return f.CompareNumber(_NUMBERS[name], value)
        if name in _INSTANTS:
            instant = parse_instant(value)
            if instant is None:
                self.violations.append(
                    Violation(f"{path}.{name}", "must be an RFC 3339 date or date-time")
                )
                return None
            return f.CompareInstant(_INSTANTS[name], instant)
        if name == "equals_number":
            return f.EqualsNumber(value)
        if name == "equals_bool":
            return f.EqualsBool(value)
        return f.Exists()


def read(node: pb.Filter, path: str, kind: f.Target, violations: list[Violation]) -> f.Filter:
    """The filter `node` says; `path` is where the request has it."""
    reader = _Reader(kind, violations)
    tree = reader.tree(node, path, 1)
    if reader.conditions > f.MAX_CONDITIONS:
        violations.append(Violation(path, f"must have at most {f.MAX_CONDITIONS} conditions"))
    return tree
