"""Metadata as text: what is stored and what filters compare."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from service.core.metadata import Scalar, canonical, comparable, fold, parse

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = (
    texts
    | st.booleans()
    | st.floats(-(2.0**53), 2.0**53, exclude_min=True, exclude_max=True)
    | st.lists(texts)
)
keys = st.text("abcXYZ019_.-", min_size=1)


@given(st.dictionaries(keys, values))
@example({"a": 'quote " slash \\ tab \t newline \n bell \x07 line \u2028 face 🙂'})
def test_text_is_compact_json_with_sorted_keys(metadata: dict[str, Scalar]) -> None:
    text = canonical(metadata)

    assert text == json.dumps(
        metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    assert parse(text) == metadata
    assert {key: type(value) for key, value in parse(text).items()} == {
        key: type(value) for key, value in metadata.items()
    }


@given(st.dictionaries(keys, values))
@example({"a": "2026-11-21", "b": "2026-11-21T10:00:00+02:00", "c": "2026 or so", "d": "İß"})
def test_each_value_is_compared_as_what_it_is(metadata: dict[str, Scalar]) -> None:
    forms = json.loads(comparable(canonical(metadata)))

    assert forms.keys() == metadata.keys()
    for key, value in metadata.items():
        instant = forms[key].pop("i", None)
        if isinstance(value, bool):
            assert forms[key] == {"b": int(value)}
        elif isinstance(value, str):
            assert forms[key] == {"s": value, "f": fold(value)}
        elif isinstance(value, list):
            assert forms[key] == {"l": value, "g": [fold(item) for item in value]}
        else:
            assert forms[key] == {"n": value}
        assert instant is None or value[:1].isdigit()  # type: ignore[index, union-attr]


def test_a_string_that_is_a_date_is_compared_as_an_instant_too() -> None:
    forms = json.loads(comparable(canonical({"day": "1970-01-02", "word": "someday"})))

    assert forms == {
        "day": {"s": "1970-01-02", "f": "1970-01-02", "i": 86_400_000_000},
        "word": {"s": "someday", "f": "someday"},
    }
