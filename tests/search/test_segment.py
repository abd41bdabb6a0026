"""What is in a segment, and what its masks say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.core.times import FOREVER
from service.search.entry import UnreadableEntryError
from service.search.segment import Item, ItemKind, Segment
from tests.search.reference import CALIBRATION, HASHER, Text

EVERYTHING = ItemKind.MEMORY | ItemKind.CHUNK


@pytest.fixture
def segment() -> Segment:
    return Segment(2, CALIBRATION.neighbourhood)


def put(segment: Segment, *texts: Text) -> None:
    segment.put([text.item for text in texts])


def eligible(segment: Segment, at: int = 0, kinds: ItemKind = EVERYTHING) -> set[str]:
    return {segment.id_at(int(row)) for row in np.flatnonzero(segment.eligible(kinds, at))}


def chunk(position: int, text: str = "text", group: str = "doc") -> Text:
    return Text(f"{group}/{position}", text, ItemKind.CHUNK, group, position, vector=(1, position))


def test_a_group_is_in_order_whatever_order_it_came_in(segment: Segment) -> None:
    put(segment, chunk(3), chunk(1))
    put(segment, chunk(2), chunk(0, group="other"))
    assert segment.ids_of_group("doc") == ["doc/1", "doc/2", "doc/3"]
    put(segment, replace(chunk(1), position=9))
    assert segment.ids_of_group("doc") == ["doc/2", "doc/3", "doc/1"]
    segment.remove(["doc/3"])
    assert segment.ids_of_group("doc") == ["doc/2", "doc/1"]
    segment.remove(segment.ids_of_group("doc"))
    assert segment.ids_of_group("doc") == []
    assert segment.groups() == {"other"}


def test_what_was_replaced_gets_nothing_from_the_neighbours_it_had(segment: Segment) -> None:
    put(segment, chunk(1, "rabbit"), chunk(2, "old"))
    put(segment, chunk(2, "new"))
    assert segment.before.tolist() == [-1, -1, 0]
    assert segment.after.tolist() == [2, -1, -1]


def test_a_memory_is_found_within_its_spans(segment: Segment) -> None:
    put(segment, Text("mem_1", "text", shown=((2, 4), (6, 8))))
    assert [at for at in range(10) if eligible(segment, at)] == [2, 3, 6, 7]
    put(segment, Text("mem_1", "text", shown=((2, 4), (5, 6), (8, 9))))
    assert [at for at in range(10) if eligible(segment, at)] == [2, 3, 5, 8]
    put(segment, Text("mem_1", "text", shown=()))
    assert not any(eligible(segment, at) for at in range(10))


def test_what_is_shown_now_is_a_matter_of_its_end_alone() -> None:
    """A commit time may lie ahead of the wall clock; what it was given to has happened."""

    def now(segment: Segment, wall: int) -> set[str]:
        rows = np.flatnonzero(segment.eligible_now(EVERYTHING, wall))
        return {segment.id_at(int(row)) for row in rows}

    segment = Segment(2)
    ahead = Text("mem_1", "text", shown=((9, FOREVER),)).item
    segment.put([ahead, ahead._replace(id="mem_2", until=5), ahead._replace(id="mem_3", until=0)])
    assert now(segment, 4) == {"mem_1", "mem_2"}
    assert now(segment, 5) == {"mem_1"}
    assert eligible(segment, 8) == set()
    segment.put([ahead._replace(until=3), ahead._replace(id="mem_3", until=5)])
    assert now(segment, 4) == {"mem_2", "mem_3"}


def test_kinds_are_told_apart(segment: Segment) -> None:
    put(segment, Text("mem_1", "text"), chunk(1))
    assert eligible(segment, kinds=ItemKind.MEMORY) == {"mem_1"}
    assert eligible(segment, kinds=ItemKind.CHUNK) == {"doc/1"}
    assert eligible(segment) == {"mem_1", "doc/1"}


def test_a_mask_stays_true_through_changes_and_compaction() -> None:
    segment = Segment(2, CALIBRATION.neighbourhood, least_dead=0)
    put(segment, Text("mem_1", "text"), Text("mem_2", "text"), chunk(1), chunk(2))
    segment.keep_mask("filter", ["mem_2", "doc", "unknown"])
    segment.remove(["mem_1"])
    put(segment, chunk(3))
    segment.patch_mask("filter", "doc", True)
    segment.remove(["doc/1"])
    mask = segment.mask("filter")
    assert mask is not None
    assert segment.rows == 3
    found = {segment.id_at(int(row)) for row in np.flatnonzero(mask)}
    assert found == {"mem_2", "doc/2", "doc/3"}
    assert segment.mask("another") is None
    with pytest.raises(KeyError):
        segment.patch_mask("another", "doc", True)


def test_the_mask_unused_for_longest_leaves(segment: Segment) -> None:
    put(segment, Text("mem_1", "text"))
    for key in range(16):
        segment.keep_mask(key, ())
    assert segment.mask(0) is not None
    segment.keep_mask(16, ())
    assert segment.mask(1) is None
    assert set(segment.masks()) == {0, *range(2, 17)}


@pytest.mark.parametrize(
    "bad",
    [
        [Text("mem_1", "one").item, Text("mem_1", "two").item],
        [Text("mem_2", "text").item._replace(entry=b"damaged")],
        [Text("mem_2", "text").item._replace(vector=b"of another dimension")],
        [replace(chunk(2), shown=((0, 1),)).item],
    ],
)
def test_what_cannot_be_taken_changes_nothing(segment: Segment, bad: list[Item]) -> None:
    put(segment, Text("mem_1", "text"), chunk(1))
    with pytest.raises((ValueError, UnreadableEntryError)):
        segment.put([Text("mem_1", "new").item, *bad] if len(bad) == 1 else bad)
    assert len(segment) == segment.rows == 2
    assert eligible(segment) == {"mem_1", "doc/1"}
    assert len(segment.find(HASHER.term("text"))[0]) == 2


def test_memory_is_counted_and_given_back(segment: Segment) -> None:
    texts = [Text(f"mem_{i}", f"word{i} and more", vector=(1, i)) for i in range(5000)]
    put(segment, *texts)
    full = segment.nbytes
    assert full > 5000 * 250
    segment.remove([text.id for text in texts[1000:]])
    assert len(segment) == segment.rows == 1000
    assert segment.nbytes < full / 4
    assert len(segment.find(HASHER.term("word999"))[0]) == 1
    assert len(segment.find(HASHER.term("word1000"))[0]) == 0
