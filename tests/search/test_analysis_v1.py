"""Entries of version 1 are found by what they were found by, until they are made again."""

from __future__ import annotations

import pytest

from service.search.analysis import Features
from service.search.analysis_v1 import v1_parts
from service.search.entry import encode_entries
from service.search.hashed_query import hash_query
from service.search.ranking import Hit, rank
from service.search.scope import Scope
from service.search.segment import Item, ItemKind, Segment
from service.search.words import VERBATIM
from tests.search.reference import CALIBRATION, HASHER, Text


def old(text: Text, *terms: str) -> Item:
    """An item with an entry of version 1 that has these terms."""
    features = Features([VERBATIM + term for term in terms], 5, False, False, ())
    (entry,) = encode_entries([features], HASHER)
    return text.item._replace(entry=b"\x01" + entry[1:])


def outdated(segment: Segment) -> list[bool] | None:
    mask = segment.outdated
    return None if mask is None else mask.tolist()


def found(segment: Segment, query: str, required: tuple[int, ...] = ()) -> list[Hit]:
    scope = Scope(segment, segment.eligible(ItemKind.MEMORY, 0))
    return rank([scope], hash_query(query, HASHER), CALIBRATION, 10, required=[required])


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Łódź", ["łodz"]),
        ("Ærøskøbing", ["ærøskøbing"]),
        ("l’hôtel", ["l'hotel"]),
        ("o'clock", ["o'clock"]),
        ("İstanbul'da", ["istanbul'da"]),
        ("άνοιξη", ["ανοιξη"]),
        ("Семёнов", ["семенов"]),
        ("الطاولة", ["الطاولة"]),
        ("हिन्दी", ["हिन्दी"]),
        ("२०२४", ["२०२४"]),
        ("서울에서", ["서울에서"]),
        ("東京サミット", []),
        ("plain words, and INV-2024/0117", []),
    ],
)
def test_the_terms_of_version_1(text: str, terms: list[str]) -> None:
    assert [term for part in v1_parts(text) for term in part.terms] == terms


def test_an_old_entry_is_found_by_its_own_terms_until_it_is_made_again() -> None:
    segment = Segment(2, CALIBRATION.neighbourhood)
    text = Text("mem_1", "Łukasz lives in Łódź")
    others = [Text(f"mem_x{i}", f"someone lives in place{i}") for i in range(5)]
    segment.put([old(text, "łukasz", "live", "łodz"), *(other.item for other in others)])
    assert outdated(segment) == [True] + [False] * 5
    (hit,) = found(segment, "Łódź")
    assert hit.id == "mem_1"
    assert hit.parts.lexical > 0
    # A text that is read afterwards may hold the phrase: its terms do not tell.
    lodz = HASHER.terms["lodz"]
    assert [hit.id for hit in found(segment, "Łódź", (lodz,))] == ["mem_1"]
    assert found(segment, "place3", (lodz,)) == []

    segment.put([text.item])
    assert outdated(segment) is None
    assert [hit.id for hit in found(segment, "Łódź", (lodz,))] == ["mem_1"]
    assert found(segment, "łódzki") == []


def test_the_terms_of_version_1_count_for_no_newer_entry() -> None:
    segment = Segment(2, CALIBRATION.neighbourhood)
    features = Features([VERBATIM + "łodz"], 5, False, False, ())
    (entry,) = encode_entries([features], HASHER)
    segment.put([Text("mem_1", "x").item._replace(entry=entry)])
    assert found(segment, "Łódź") == []


def test_no_part_of_a_code_stands_for_it() -> None:
    segment = Segment(2, CALIBRATION.neighbourhood)
    segment.put([old(Text("mem_1", "Ærø"), "ærø"), old(Text("mem_2", "Ærø-17"), "ærø", "17")])
    query = hash_query("Ærø-17", HASHER)
    (term,) = query.terms
    assert term.insisted
    assert query.v1_synonyms() == query.synonyms
