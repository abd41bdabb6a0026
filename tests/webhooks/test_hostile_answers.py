"""Whatever a receiver answers, sending ends, and nothing of the answer is told."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Final

import pytest

from service.core import webhooks as rules
from service.core.model import WebhookTarget
from service.webhooks.sending import Answer, Sender
from tests.waiting import HANG_SECONDS
from tests.webhooks.receiver import Receiver, status

NOW: Final = 1_800_000_000_000_000
ROUNDS: Final = 1_500
MARK: Final = "Quagmire"
"""Stands in what is answered, and may be in no error."""

HEADERS: Final = [
    "retry-after: 5",
    "retry-after: -1",
    "retry-after: " + "9" * 400,
    "retry-after: 1e999",
    "retry-after: Mon, 01 Jan 0001 00:00:00 +9959",
    "retry-after: Fri, 31 Dec 9999 23:59:59 -9959",
    "retry-after: Fri, 99 Feb 2024 25:61:61 GMT",
    f"retry-after: {MARK}",
    f"location: http://{MARK}/",
    "content-encoding: gzip",
    "transfer-encoding: chunked",
    "content-length: -5",
    "content-length: 1, 2",
    "connection: upgrade",
    f"{MARK}",
    f": {MARK}",
    " folded",
    f"x: {MARK * 30_000}",
    f"x: {MARK}\0\x01",
    f"x: {MARK}\xff",
]
CODES: Final = [100, 101, 103, 199, 200, 204, 299, 300, 301, 307, 404, 410, 429, 500, 599, 999]


def reply(chance: random.Random) -> bytes:
    """An answer with something strange in it, cut, or with changed bytes."""
    headers = chance.sample(HEADERS, chance.randrange(4))
    whole = status(chance.choice(CODES), *headers, body=MARK * chance.randrange(3))
    match chance.randrange(4):
        case 0:
            return whole[: chance.randrange(len(whole))]
        case 1:
            changed = bytearray(whole)
            for _ in range(chance.randrange(1, 6)):
                changed[chance.randrange(min(len(changed), 200))] = chance.randrange(256)
            return bytes(changed)
        case 2:
            return chance.randbytes(chance.randrange(1, 300))
        case _:
            return whole


def sender_to(receiver: Receiver) -> Sender:
    return Sender(WebhookTarget(receiver.url, rules.new_secret(), allow_private=True))


async def test_random_answers_end_in_one_of_a_known_form(receiver: Receiver) -> None:
    chance = random.Random(5)
    receiver.hangs_up = True
    delivered = 0
    async with sender_to(receiver) as sender:
        for number in range(ROUNDS):
            sent = reply(chance)
            receiver.replies(sent)
            answer = await sender.send(f"whk_{number}", NOW, b"{}")
            assert_bounded(answer, sent)
            delivered += answer.delivered
        receiver.replies(status(204))
        assert await sender.send("whk_last", NOW, b"{}") == Answer(204, "")
    assert 0 < delivered < ROUNDS


def assert_bounded(answer: Answer, sent: bytes) -> None:
    assert MARK not in answer.error, sent
    assert len(answer.error) < 200, sent
    assert answer.delivered == (answer.status is not None and 200 <= answer.status < 300), sent
    if answer.retry_after is not None:
        assert answer.retry_after >= 0, sent
        assert math.isfinite(rules.pause(1, 0.5, answer.retry_after)), sent


@pytest.mark.parametrize(
    "part", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: y\r\n" + b"x: y\r\n" * 9000]
)
async def test_an_answer_that_never_begins_takes_no_more_than_its_time(
    receiver: Receiver, part: bytes
) -> None:
    """An endless one ends with the receiver, which hangs up after so many parts."""
    receiver.hangs_up = True
    receiver.replies(part * 100)
    async with asyncio.timeout(HANG_SECONDS), sender_to(receiver) as sender:
        answer = await sender.send("whk_1", NOW, b"{}")
    assert answer.status is None
    assert answer.error.startswith("the connection failed")
