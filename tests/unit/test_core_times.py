"""Dates as callers write them."""

from __future__ import annotations

import pytest

from service.core.conversations import Message, decode, encode
from service.core.times import Moment, parse_instant, parse_moment


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2026-03-01", 0),
        ("2026-03-01T00:00:00Z", 0),
        ("2026-02-28T18:15:00-05:45", -345),
        ("2026-03-01T23:59:00+23:59", 1439),
    ],
)
def test_a_date_has_the_offset_that_is_written(text: str, offset: int) -> None:
    assert parse_moment(text) == Moment(1_772_323_200_000_000, offset)
    assert parse_instant(text) == 1_772_323_200_000_000


@pytest.mark.parametrize(
    "text", ["", "2026-02-30", "2026-03-01T00:00:00+24:00", "0001-01-01T00:00:00+00:01"]
)
def test_what_is_no_date_has_no_offset(text: str) -> None:
    assert parse_moment(text) is None


def test_a_conversation_stored_before_there_were_offsets_reads_and_writes_as_it_was() -> None:
    stored = '[["Ann","hello",5,""],["","",null,"a lake"]]'
    messages = (Message("Ann", "hello", 5), Message("", "", None, "a lake"))
    assert decode(stored) == messages
    assert encode(messages) == stored


def test_an_offset_is_stored_with_its_message() -> None:
    messages = (Message("Ann", "hello", 5, offset=-300), Message("", "bye"))
    assert decode(encode(messages)) == messages
