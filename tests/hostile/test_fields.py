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

from palimpsest.v1.memories_pb2 import NewMemory
from service.core.errors import Reason
from tests.client import Client
from tests.hostile import contract
from tests.hostile.answers import PERMITTED, Answer, ask
from tests.hostile.contract import Path, Samples, spelled
from tests.hostile.readback import differences
from tests.hostile.values import REFUSED, TAKEN, Case, cases

INVALID = grpc.StatusCode.INVALID_ARGUMENT
METHODS = [pytest.param(method, id=method.name) for method in contract.methods()]


@dataclass
class Tried:
    """What was done to one method."""

    codes: Counter[str] = field(default_factory=Counter)
    read_back: int = 0
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
            self.tried.read_back += 1
            if wrong:
                self.finding(name, f"reads back otherwise: {wrong}")

    def finding(self, name: str, text: str) -> None:
        self.tried.findings.append(f"{self.method.name}: {name}: {text}"[:400])


def _about(violation: str, path: Path) -> bool:
    """Whether a violation lies at, in, or around the field."""
    where = spelled(path).replace("[0]", "")
    said = "".join(part.partition("[")[0] + "." for part in violation.split(".")).rstrip(".")
    return said.startswith(where) or (bool(said) and where.startswith(f"{said}."))


@pytest.mark.parametrize("method", METHODS)
async def test_every_field_takes_or_refuses_every_value(
    client: Client, method: MethodDescriptor, capsys: pytest.CaptureFixture[str]
) -> None:
    attacker = Attacker(client, method)
    for path in contract.paths(method.input_type):
        for case in cases(path[-1], await attacker.samples()):
            samples = await attacker.samples()
            request = samples.request(method.input_type, path, case.value)
            await attacker.try_case(path, case, request)
    with capsys.disabled():
        codes = ", ".join(f"{n} {code}" for code, n in attacker.tried.codes.most_common())
        print(f"\n  {method.name}: {codes}; {attacker.tried.read_back} read back", end="")
    assert not attacker.tried.findings, "\n".join(attacker.tried.findings)
