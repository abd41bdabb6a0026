"""Cutting: nothing lost, nothing twice, nothing too long, and edits stay local."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.content.base import Extract, TextChunk
from service.content.chunking import chunk
from service.content.text import Text
from service.content.writer import Writer

ALPHABET = "ab.! \n漢。é\u200d😀\t-"
SIZES = st.integers(2, 60)


def chunks(text: str, size: int) -> list[TextChunk]:
    return chunk(Text().extract(text), size)


def prose(seed: int, paragraphs: int) -> list[str]:
    """Paragraphs of one to six sentences, always the same for a seed."""
    dice = random.Random(seed)

    def word() -> str:
        return "".join(dice.choices("abcdefghijklmnoprstuw", k=dice.randint(1, 9)))

    def sentence() -> str:
        return " ".join(word() for _ in range(dice.randint(3, 20))).capitalize() + "."

    return [" ".join(sentence() for _ in range(dice.randint(1, 6))) for _ in range(paragraphs)]


@st.composite
def extracts(draw: st.DrawFn) -> Extract:
    writer = Writer()
    for _ in range(draw(st.integers(0, 12))):
        writer.add(
            draw(st.text(ALPHABET, max_size=80)),
            level=draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
            lines=draw(st.booleans()),
            tight=draw(st.booleans()),
        )
    return writer.extract()


@given(extracts(), SIZES)
def test_chunks_hold_every_character_once_in_order(extract: Extract, size: int) -> None:
    found = chunk(extract, size)
    end = 0
    for part in found:
        assert part.start >= end
        assert extract.text[end : part.start].strip() == ""
        assert part.text == extract.text[part.start : part.end]
        assert part.text == part.text.strip() != ""
        assert len(part.text) <= size
        end = part.end
    assert extract.text[end:].strip() == ""


@example("aaa a aaaaaaaaa a", 9)
@given(st.text(ALPHABET, max_size=300), SIZES)
def test_words_that_fit_are_never_cut(text: str, size: int) -> None:
    found = chunks(text, size)
    for before, after in pairwise(found):
        if before.end == after.start and not before.text.endswith("。"):
            left = text[: after.start].rsplit(maxsplit=1)[-1]
            word = left + text[after.start :].split(maxsplit=1)[0]
            assert len(word) > size


@given(st.integers(), st.integers(0, 79), st.sampled_from(["edit", "insert", "delete"]))
def test_an_edit_changes_only_chunks_near_it(seed: int, place: int, how: str) -> None:
    before = prose(seed, 80)
    after = list(before)
    if how == "edit":
        after[place] = after[place].replace("a", "some other words ", 1) + " And more."
    elif how == "insert":
        after.insert(place, "Something that was not here before. It has two sentences.")
    else:
        del after[place]
    old = {part.text for part in chunks("\n\n".join(before), 400)}
    new = [part.text for part in chunks("\n\n".join(after), 400)]
    changed = [number for number, text in enumerate(new) if text not in old]
    assert len(new) > 30
    assert len(changed) <= 12
    if changed:
        assert changed[-1] - changed[0] < 20


def test_an_edit_changes_two_chunks_at_the_median() -> None:
    counts = []
    for seed in range(200):
        before = prose(seed, 80)
        after = [*before[:20], before[20] + " And a sentence more.", *before[21:]]
        old = {part.text for part in chunks("\n\n".join(before), 400)}
        new = [part.text for part in chunks("\n\n".join(after), 400)]
        counts.append(sum(text not in old for text in new))
    counts.sort()
    assert counts[100] <= 2
    assert counts[190] <= 5


def test_short_paragraphs_are_joined() -> None:
    assert [part.text for part in chunks("One.\n\nTwo.\n\nThree.", 30)] == [
        "One.\n\nTwo.\n\nThree."
    ]


def test_long_paragraphs_are_cut_between_sentences() -> None:
    sentences = [f"Sentence {number} says e.g. something!" for number in range(20)]
    found = chunks(" ".join(sentences), 100)
    assert len(found) > 5
    for part in found:
        assert set(part.text.replace("! ", "!\n").split("\n")) <= set(sentences)


@pytest.mark.parametrize("lines", [True, False])
def test_a_block_that_fits_stays_together(lines: bool) -> None:
    writer = Writer()
    writer.add("A short one before.")
    block = "\n".join(f"row {number} of a block" for number in range(5))
    writer.add(block, lines=lines)
    writer.add("A short one after.")
    size = len(block) + 2
    assert block in [part.text for part in chunk(writer.extract(), size)]


def test_code_is_cut_between_lines() -> None:
    writer = Writer()
    code = [f"call({number}); and. Then(again)" for number in range(20)]
    writer.add("\n".join(code), lines=True)
    for part in chunk(writer.extract(), 100):
        assert set(part.text.split("\n")) <= set(code)


def test_headings_begin_sections_and_name_them() -> None:
    writer = Writer()
    writer.add("Before all.")
    for level, title in [(1, "Guide"), (2, "Install"), (3, "On Linux")]:
        writer.add(title, level=level)
    writer.add("Unpack it.")
    writer.add("Run", level=2)
    writer.add("Start it.")
    writer.add("Last", level=1)
    found = chunk(writer.extract(), 100)
    assert [(part.heading, part.text) for part in found] == [
        ("", "Before all."),
        ("Guide > Install > On Linux", "Guide\n\nInstall\n\nOn Linux\n\nUnpack it."),
        ("Guide > Run", "Run\n\nStart it."),
        ("Last", "Last"),
    ]


def test_a_heading_stays_with_what_follows() -> None:
    writer = Writer()
    writer.add("Title", level=1)
    writer.add("A sentence of words. " * 10)
    assert chunk(writer.extract(), 60)[0].text.startswith("Title\n\nA sentence")


def test_names_of_sections_are_bounded() -> None:
    writer = Writer()
    writer.add("endless " * 10_000, level=1)
    writer.add("endless" * 10_000, level=2)
    writer.add("Text.")
    assert max(len(part.heading) for part in chunk(writer.extract(), 500)) <= 250
