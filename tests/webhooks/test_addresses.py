"""Nothing is sent to an address that is not public, and nothing to another than was checked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.core import webhooks as rules
from service.core.model import WebhookTarget
from service.webhooks import sending
from service.webhooks.sending import Answer, Sender
from tests.waiting import HANG_SECONDS
from tests.webhooks.receiver import Event, Receiver, Reply, receiving, status

PEM = Path(__file__).parents[1] / "rpc" / "tls"
NOW = 1_800_000_000_000_000


class Names:
    """A resolver that answers in turn, the last answer again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = list[tuple[str, int]]()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def send(
    url: str,
    *,
    allow_private: bool = False,
    names: sending.Resolve = sending.resolve,
    tls: ssl.SSLContext | None = None,
    seconds: float = sending.TIMEOUT_SECONDS,
) -> Answer:
    target = WebhookTarget(url, rules.new_secret(), allow_private=allow_private)
    async with Sender(target, resolve=names, tls=tls, timeout=seconds) as sender:
        return await sender.send("whk_1", NOW, b"{}")


REFUSED = "its address is not public, and it was added without --allow-private"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"],
)
async def test_loopback_is_refused_however_it_is_written(receiver: Receiver, host: str) -> None:
    answer = await send(f"https://{host}:{receiver.port}/")
    assert answer in (Answer(None, REFUSED), Answer(None, "its name has no address"))
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["192.168.1.1", "fe80::1%1"],
        ["100.64.0.1", "fc00::1", "224.0.0.1", "::"],
    ],
)
async def test_names_of_private_addresses_are_refused(addresses: list[str]) -> None:
    names = Names(addresses)
    assert await send("https://inside.test/", names=names) == Answer(None, REFUSED)
    assert names.asked == [("inside.test", 443)]


async def test_the_connection_is_made_to_the_address_that_was_checked(receiver: Receiver) -> None:
    # A name that is looked up again has another address by then.
    names = Names(["127.0.0.1"], ["127.9.9.9"])
    url = f"http://rebound.test:{receiver.port}/x?y=z"
    answer = await send(url, allow_private=True, names=names)
    assert (answer, len(names.asked)) == (Answer(204, ""), 1)
    [event] = receiver.events
    assert event.headers["host"] == f"rebound.test:{receiver.port}"
    assert event.line == "POST /x?y=z HTTP/1.1"


async def test_a_name_that_turns_private_is_refused_at_the_next_event(receiver: Receiver) -> None:
    names = Names(["198.18.0.1"], ["127.0.0.1"])
    target = WebhookTarget(f"https://rebound.test:{receiver.port}/", rules.new_secret())
    async with Sender(target, resolve=names) as sender:
        for _ in range(2):
            assert await sender.send("whk_1", NOW, b"{}") == Answer(None, REFUSED)
    assert (receiver.connections, len(names.asked)) == (0, 2)


async def test_of_several_addresses_one_that_cannot_be_connected_to_is_passed_over(
    receiver: Receiver,
) -> None:
    # Nothing listens on this address of the loopback network.
    names = Names(["127.0.0.99", "127.0.0.1"])
    url = f"http://both.test:{receiver.port}/"
    assert await send(url, allow_private=True, names=names) == Answer(204, "")


async def test_a_name_without_an_address_is_told() -> None:
    answer = await send("https://nothing.invalid/")
    assert answer == Answer(None, "its name has no address")


async def test_the_certificate_must_be_that_of_the_name() -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(PEM / "other-name.pem", PEM / "other-name.key")
    trusting = ssl.create_default_context(cafile=PEM / "other-name.pem")
    names = Names(["127.0.0.1"])
    async with receiving(served) as receiver:
        for name, taken in (("memory.example", True), ("other.example", False)):
            url = f"https://{name}:{receiver.port}/"
            answer = await send(url, allow_private=True, names=names, tls=trusting)
            assert answer.delivered is taken
        assert answer.error.startswith("its certificate is refused: Hostname mismatch")
        url = f"https://memory.example:{receiver.port}/"
        answer = await send(url, allow_private=True, names=names)
        assert answer.error.startswith("its certificate is refused: ")
        assert [event.headers["host"] for event in receiver.events] == [
            f"memory.example:{receiver.port}"
        ]


async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.replies(status(307, f"location: {receiver.url}"))
    answer = await send(receiver.url, allow_private=True)
    assert answer == Answer(307, "answered 307; redirects are not followed")
    assert len(receiver.events) == 1


async def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    async def answer(_: Event) -> Reply:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 100_000

    receiver.answer = answer
    async with asyncio.timeout(HANG_SECONDS):
        assert await send(receiver.url, allow_private=True) == Answer(200, "")


async def test_no_answer_in_time_is_a_failure(receiver: Receiver) -> None:
    async def answer(_: Event) -> Reply:
        await asyncio.Event().wait()
        return None

    receiver.answer = answer
    answered = await send(receiver.url, allow_private=True, seconds=0.2)
    assert answered == Answer(None, "no answer within 0.2 s")


async def test_a_broken_answer_is_a_failure(receiver: Receiver) -> None:
    for reply in (None, b"nonsense\r\n\r\n"):
        receiver.replies(reply)
        answer = await send(receiver.url, allow_private=True)
        assert answer == Answer(None, "the connection failed (RemoteProtocolError)")


async def test_a_proxy_of_the_environment_is_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", receiver.url)
    monkeypatch.setenv("ALL_PROXY", receiver.url)
    # Nothing listens on this port of the other address.
    url = f"http://127.0.0.99:{receiver.port}/"
    assert await send(url, allow_private=True) == Answer(None, "cannot connect")
    assert receiver.connections == 0
