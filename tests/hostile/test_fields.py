"""Every field of every request with every hostile value.

The answer is INVALID_ARGUMENT and names the field, or the call works and what
it wrote reads back, or it fails in another way that the contract lists.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from palimpsest.v1.filter_pb2 import Filter
from palimpsest.v1.memories_pb2 import NewMemory
from service.core.errors import Reason
from tests.backends.selection import selected
from tests.client import Client
from tests.hostile import contract, wire
from tests.hostile.answers import PERMITTED, Answer, ask
from tests.hostile.contract import Path, Samples, spelled
from tests.hostile.readback import differences
from tests.hostile.values import REFUSED, TAKEN, Case, cases
from tests.tally import Report, Tally

INVALID = grpc.StatusCode.INVALID_ARGUMENT
METHODS = [pytest.param(method, id=method.name) for method in contract.methods()]


@pytest.fixture(scope="module")
def values_tried(report: Report) -> Tally:
    tally = Tally("Hostile values in every field of every method")
    report(tally)
    return tally


@dataclass
class Tried:
    """What was done to one method."""

    codes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


class Attacker:
    """Calls one method with one thing wrong at a time, on things that are there."""

    def __init__(self, client: Client, method: MethodDescriptor) -> None:
        self.client = client
        self.method = method
        self.tried = Tried()
        self._writes = True

    async def samples(self) -> Samples:
        """Names of a document or memory that is there."""
        if self._writes:
            if self.method.containing_service.name == "Documents":
                self._target = f"target {self.tried.codes.total()}"
                await self.client.put(contract.FREE_TEXT, custom_id=self._target)
            else:
                memory = NewMemory(content=contract.FREE_TEXT, forget_reason="reason")
                memory.forget_after.seconds = contract.FUTURE
                (made,) = await self.client.remember(memory)
                self._target = made.id
            self._writes = False
        return Samples(
            {
                "id": self._target,
                "ids": self._target,
                "container_tag": "default",
                "container_tags": "default",
                "etag": "",
                "page_token": "",
            }
        )

    async def call(self, name: str, request: bytes | Message) -> Answer | None:
        try:
            answer = await ask(self.client.channel, self.method, request)
        except (AssertionError, TimeoutError) as error:
            self.finding(name, f"{type(error).__name__}: {error}")
            return None
        self.tried.codes[answer.code.name] += 1
        if answer.code not in PERMITTED:
            self.finding(name, str(answer))
        if answer.refusal.info.reason and answer.refusal.info.reason not in Reason.__members__:
            self.finding(name, f"unlisted reason: {answer}")
        # What was there may now be gone, superseded or forgotten.
        self._writes = answer.ok or answer.refusal.info.reason.startswith("MEMORY_")
        return answer

    async def try_case(self, path: Path, case: Case, request: Message) -> None:
        name = f"{spelled(path)} = {case.name}"
        answer = await self.call(name, request)
        if answer is None:
            return
        named = [f for f in answer.refusal.fields if _about(f, path)]
        if answer.refusal.info.reason == "INVALID_REQUEST" and not answer.refusal.fields:
            self.finding(name, "refused without a violation")
        if case.verdict is REFUSED and (answer.code is not INVALID or not named):
            self.finding(name, f"must be refused, got {answer}")
        if case.verdict is TAKEN and answer.code is INVALID and named:
            self.finding(name, f"must be taken, got {answer}")
        if answer.ok:
            wrong = await differences(self.client, request, answer.message)
            if wrong:
                self.finding(name, f"reads back otherwise: {wrong}")

    def finish(self, tally: Tally) -> None:
        """Adds to the tally; fails if there are findings."""
        tally.rounds += 1
        tally.operations += self.tried.codes.total()
        tally.findings += self.tried.findings
        assert not self.tried.findings, "\n".join(self.tried.findings)

    def finding(self, name: str, text: str) -> None:
        self.tried.findings.append(f"{self.method.name}: {name}: {text}"[:400])


def _about(violation: str, path: Path) -> bool:
    """Whether a violation lies at, in, or around the field."""
    where = spelled(path).replace("[0]", "")
    said = "".join(part.partition("[")[0] + "." for part in violation.split(".")).rstrip(".")
    return said.startswith(where) or (bool(said) and where.startswith(f"{said}."))


def template(method: MethodDescriptor, path: Path, samples: Samples) -> Message:
    """A valid request with the field."""
    value = samples.value(path[-1])
    return samples.request(method.input_type, path, [value] if path[-1].is_repeated else value)


@pytest.mark.parametrize("method", METHODS)
async def test_every_field_takes_or_refuses_every_value(
    client: Client, method: MethodDescriptor, values_tried: Tally
) -> None:
    attacker = Attacker(client, method)
    for path in contract.paths(method.input_type):
        for case in (Case("missing", None), *cases(path[-1], await attacker.samples())):
            if case.verdict is REFUSED and selected() != "sqlite":
                continue  # It reaches no database.
            request = template(method, path, await attacker.samples())
            await attacker.try_case(path, case, contract.placed(request, path, case.value))
    attacker.finish(values_tried)


async def test_every_field_bears_bytes_of_another_kind(client: Client, report: Report) -> None:
    tally = Tally("Bytes of another kind in every field of every method")
    report(tally)
    for method in contract.methods():
        attacker = Attacker(client, method)
        await send_bytes_of_another_kind(attacker)
        attacker.finish(tally)


async def send_bytes_of_another_kind(attacker: Attacker) -> None:
    method = attacker.method
    for path in contract.paths(method.input_type):
        valid = template(method, path, await attacker.samples()).SerializeToString()
        for name, raw in wire.wrong_kinds(path):
            await attacker.call(f"{spelled(path)} = {name}", valid + raw)
        if path[-1].type != FieldDescriptor.TYPE_STRING:
            continue
        for name, raw in wire.BROKEN_TEXTS.items():
            answer = await attacker.call(f"{spelled(path)} = {name}", wire.text(path, raw))
            if answer is None or answer.refusal.info.reason != "MALFORMED_MESSAGE":
                attacker.finding(f"{spelled(path)} = {name}", f"must be refused, got {answer}")


async def test_all_that_is_wrong_is_told_together(client: Client) -> None:
    for method in contract.methods():
        request, wrong = everything_wrong(method)
        assert wrong
        answer = await Attacker(client, method).call("everything", request)

        assert answer is not None
        assert (answer.code, answer.refusal.info.reason) == (INVALID, "INVALID_REQUEST")
        told = answer.refusal.fields
        untold = [spelled(path) for path in wrong if not any(_about(f, path) for f in told)]
        assert not untold, f"{method.name}: {untold}"


def everything_wrong(method: MethodDescriptor) -> tuple[Message, list[Path]]:
    """A request in which every field that can be wrong is, and those fields."""
    request: Any = contract.request_class(method)()
    wrong: list[Path] = []
    chosen: set[str] = set()
    for path in contract.paths(method.input_type):
        oneofs = {f.containing_oneof.full_name for f in path if f.containing_oneof is not None}
        inner = path[-1].message_type
        filters = [step for step in path[:-1] if step.message_type is Filter.DESCRIPTOR]
        if filters or (inner is not None and inner.full_name not in WHOLE) or oneofs & chosen:
            continue
        bad = [c for c in cases(path[-1], Samples({})) if c.verdict is REFUSED and c.value]
        if bad:
            request = contract.placed(request, path, bad[0].value)
            wrong.append(path)
            chosen |= oneofs
    return request, wrong


WHOLE = contract.LEAVES | {Filter.DESCRIPTOR.full_name}
"""Messages that are wrong as a whole."""
