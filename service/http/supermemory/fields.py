"""Members that several requests of Supermemory's API have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from palimpsest.v1.common_pb2 import ListOrder
from service.core.metadata import violations as metadata_violations
from service.http.supermemory.bodies import Fields

DEFAULT_LIMIT: Final = 10
MAX_PAGE: Final = 1_000
"""Items of a page: of more that are asked for, so many are answered."""

DEFAULT_THRESHOLD: Final = 0.5

_MAX_NUMBER: Final = 2**31 - 1
_MAX_CONTEXT: Final = 1_500
_ORDERS: Final = {
    ("createdAt", "desc"): ListOrder.LIST_ORDER_CREATED_DESC,
    ("createdAt", "asc"): ListOrder.LIST_ORDER_CREATED_ASC,
    ("updatedAt", "desc"): ListOrder.LIST_ORDER_UPDATED_DESC,
    ("updatedAt", "asc"): ListOrder.LIST_ORDER_UPDATED_ASC,
}


class Tags(NamedTuple):
    """Containers; `names` is what the caller calls the contract's `container_tags`."""

    tags: list[str]
    names: Mapping[str, str]


def read_tags(fields: Fields, *, required: bool = False, empty: bool = False) -> Tags:
    """The containers of `containerTag` or `containerTags`, which exclude each other.

    Args:
        fields: Of the request.
        required: Whether one of them must be given.
        empty: Whether an empty list is as good as none. It is not where none means all.
    """
    one = fields.text("containerTag", empty=False)
    many = fields.texts("containerTags")
    given = [name for name in ("containerTag", "containerTags") if fields.has(name)]
    if len(given) > 1:
        fields.refuse("containerTag", "must not be given together with containerTags")
    elif not given and required:
        fields.refuse("containerTag", "must be given")
    elif many == [] and not empty:
        fields.refuse("containerTags", "must not be empty")
    if one is not None:
        return Tags([one], {"container_tags[0]": "containerTag"})
    return Tags(many or [], {"container_tags": "containerTags"})


def read_container(fields: Fields) -> str:
    """The one container that a call is about: `containerTag`, which must be given."""
    return fields.needed("containerTag")


class PageFields(NamedTuple):
    """Which page: its number from 1, and how many items pages have."""

    number: int
    size: int


def read_page(fields: Fields) -> PageFields:
    number = fields.digits("page", 1, _MAX_NUMBER)
    size = fields.digits("limit", 1, _MAX_NUMBER)
    return PageFields(number or 1, min(size or DEFAULT_LIMIT, MAX_PAGE))


def pagination(page: PageFields, total: int) -> dict[str, int]:
    return {
        "currentPage": page.number,
        "limit": page.size,
        "totalItems": total,
        "totalPages": -(-total // page.size),
    }


def read_order(fields: Fields) -> ListOrder.ValueType:
    sort = fields.choice("sort", "createdAt", "updatedAt") or "createdAt"
    order = fields.choice("order", "asc", "desc") or "desc"
    return _ORDERS[sort, order]


def read_limit(fields: Fields, most: int = 100) -> int:
    """How many hits; 0: as many as the contract says."""
    return fields.integer("limit", 1, most) or 0


def read_threshold(fields: Fields, name: str = "threshold") -> float:
    threshold = fields.number(name, 0, 1)
    return DEFAULT_THRESHOLD if threshold is None else threshold


def ignore_ingestion(fields: Fields) -> None:
    """Check the types of members that say how the original finds memories in a document."""
    fields.choice("dreaming", "instant", "dynamic")
    fields.choice("taskType", "memory", "superrag")
    context = fields.text("entityContext")
    if context is not None and len(context) > _MAX_CONTEXT:
        fields.refuse("entityContext", f"must be at most {_MAX_CONTEXT:,} characters")
    given = fields.anything("filterByMetadata")
    if isinstance(given, dict):
        for violation in metadata_violations(given, "filterByMetadata", 0):
            fields.refuse(violation.field, violation.rule)
    elif fields.has("filterByMetadata"):
        fields.refuse("filterByMetadata", "must be an object")
    fields.text("filepath")


def refuse_selectors(fields: Fields, *names: str) -> None:
    """Refuse what narrows in the original and has no counterpart: ignored, it would widen."""
    for name in names:
        fields.anything(name)
        if fields.has(name):
            fields.refuse(name, "cannot be selected by")
