"""One trial: calls cancelled at random moments, and what is left of them.

It goes in rounds of equal work, each in a tenant of its own, so that what calls leave
behind tells itself from caches: see `leaks`.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from palimpsest.v1.common_pb2 import Completion
from service.app import Service
from service.core import model as m
from tests.backends.base import Backend
from tests.cancellation import leaks
from tests.cancellation.attempts import ENDLESS, METHODS, Attempt, Factory
from tests.waiting import HANG_SECONDS

ROUND = 250
"""Calls between two looks at the database."""

AT_ONCE = 16

FINISHED = 0.3
"""The share of calls that should be done before they are given up: how long calls take
depends on the machine, so that the moments are found while calls are made."""

ENOUGH_FAULTS = 20

_EXPECTED = {grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}

# Of one round: drivers keep memory for as many rows as they have ever read at once.
_CHANGES = (
    "SELECT request_id, count(*) AS number FROM changes"
    " WHERE tenant = :tenant AND request_id IS NOT NULL GROUP BY request_id"
)
_RECEIPTS = "SELECT request_id FROM requests WHERE tenant = :tenant AND complete"
_JOBS = "SELECT count(*) AS number FROM jobs"


class Moment:
    """How long a caller waits before it gives up: the weighted staircase of Kaernbach
    (1991), which comes to rest where a share of `FINISHED` is done before."""

    STEP = 1.05
    LOWEST = 1e-3

    def __init__(self, reach: float, most: float) -> None:
        self._reach = reach
        self._most = most

    def draw(self, random: random.Random) -> float:
        """Early moments are the more frequent: that is where effects begin."""
        return random.random() ** 2 * self._reach

    def learn(self, *, finished: bool) -> None:
        step = self.STEP ** (-(1 - FINISHED) / FINISHED if finished else 1)
        self._reach = min(self._most, max(self.LOWEST, self._reach * step))


@dataclass
class Findings:
    """What was done, and every way in which a promise was not kept."""

    calls: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rounds: int = 0
    seconds: float = 0.0

    def lines(self) -> list[str]:
        total = self.calls.total()
        return [
            f"cancellation: {total:,} calls of {len(self.calls)} methods, {self.seconds:.1f} s",
            f"cancellation: they ended with {_listed(self.outcomes)}",
            f"cancellation: effects before the repetition: {_listed(self.effects)}",
            f"cancellation: {len(self.faults)} faults",
        ]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


class Trial:
    """Calls on a running service, in rounds of `size`."""

    patience = 3
    """Times as many rounds as were asked for, at most, for caches to fill."""

    def __init__(
        self,
        service: Service,
        backend: Backend,
        channel: grpc.aio.Channel,
        seed: int,
        size: int = ROUND,
    ) -> None:
        self.findings = Findings()
        self._service = service
        self._backend = backend
        self._channel = channel
        self._size = size
        self._tenant = 0
        self._key = ""
        self._random = random.Random(seed)
        self._work = self._random.getrandbits(32)
        self._moments = {
            "turns": Moment(reach=400, most=1_000_000),
            "time": Moment(reach=0.05, most=30.0),
            "deadline": Moment(reach=0.05, most=30.0),
        }

    async def run(self, calls: int) -> Findings:
        """So many calls; more where caches must fill before leaks can be told from them."""
        started = time.monotonic()
        objects = deque[Counter[str]](maxlen=leaks.WINDOW)
        tasks = deque[Counter[str]](maxlen=leaks.WINDOW)
        least = max(calls // self._size, leaks.WINDOW)
        left = list[str]()
        while self.findings.rounds < least or (
            left and self.findings.rounds < self.patience * least
        ):
            await self._round()
            if self.findings.faults:
                break
            objects.append(leaks.census())
            tasks.append(leaks.tasks())
            if self.findings.rounds >= least:
                left = [*leaks.left_by_calls(objects, self._size), *leaks.ever_more(tasks)]
        self.findings.seconds = time.monotonic() - started
        self.findings.faults.extend(f"calls leave behind {one}" for one in left)
        self.findings.faults.extend(await asyncio.to_thread(self._backend.check))
        return self.findings

    async def _round(self) -> None:
        """The same calls as in every round, for a tenant that has nothing yet."""
        store = self._service.store
        self.findings.rounds += 1
        tenant = f"round-{self.findings.rounds}"
        self._tenant = await store.ensure_tenant(tenant)
        principal = m.Principal(self._tenant, "setup")
        self._key = await asyncio.to_thread(self._backend.create_key, tenant)
        await self._wave(Factory(store, principal, self._work), self._size)
        await self._settled()
        await self._processed()

    async def _wave(self, factory: Factory, count: int) -> None:
        """Cancel so many calls, look at what they did, repeat them, and look again."""
        attempts = await asyncio.gather(*(factory.attempt() for _ in range(count)))
        await self._each(attempts, self._cancel)
        await self._settled()
        if self.findings.faults:
            return
        writes = [attempt for attempt in attempts if attempt.changes is not None]
        self._judge_first(writes, *await self._effects())
        await self._each(writes, self._repeat)
        changes, receipts = await self._effects()
        for attempt in writes:
            found = changes.get(attempt.request_id, 0)
            if found != attempt.changes or attempt.request_id not in receipts:
                self._fault(f"{attempt.method}: repeated, it made {found} changes")

    async def _each(self, attempts: Sequence[Attempt], work: Callable[[Attempt], Any]) -> None:
        waiting = list(attempts)

        async def worker() -> None:
            while waiting:
                await work(waiting.pop())

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

    async def _cancel(self, attempt: Attempt) -> None:
        """Call, and give up at a random moment; now and then call again at once."""
        self.findings.calls[attempt.method] += 1
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            way = self._random.choice(sorted(self._moments))
            moment = self._moments[way].draw(self._random)
            call = self._call(attempt, moment if way == "deadline" else None)
            if way == "turns":
                for _ in range(int(moment)):
                    await asyncio.sleep(0)
                call.cancel()
            elif way == "time":
                await asyncio.sleep(moment)
                call.cancel()
            finished = False
            try:
                if attempt.method in ENDLESS:
                    await call.read()
                    call.cancel()
                elif METHODS[attempt.method].server_streaming:
                    async for _ in call:
                        pass
                else:
                    answer = await call
                    # A part is no final answer: the repetition goes on with it.
                    if getattr(answer, "completion", None) != Completion.COMPLETION_PARTIAL:
                        attempt.answer = answer
                self.findings.outcomes["OK"] += 1
                finished = True
            except asyncio.CancelledError:
                self.findings.outcomes["CANCELLED"] += 1
            except grpc.aio.AioRpcError as error:
                self.findings.outcomes[error.code().name] += 1
                if error.code() not in _EXPECTED and not _in_progress(error):
                    self._fault(f"{attempt.method}: {error.code().name} {error.details()}")
            self._moments[way].learn(finished=finished)

    async def _repeat(self, attempt: Attempt) -> None:
        if len(self.findings.faults) > ENOUGH_FAULTS:
            return
        try:
            answer: Message = await self._call(attempt, HANG_SECONDS)
        except grpc.aio.AioRpcError as error:
            self._fault(f"{attempt.method}, repeated: {error.code().name} {error.details()}")
            return
        if attempt.answer is not None and answer != attempt.answer:
            self._fault(f"{attempt.method}: the repetition got another answer")

    def _call(self, attempt: Attempt, timeout: float | None) -> Any:
        method = METHODS[attempt.method]
        kind = "unary_stream" if method.server_streaming else "unary_unary"
        make = getattr(self._channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=type(attempt.request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return make(
            attempt.request, timeout=timeout, metadata=(("authorization", f"Bearer {self._key}"),)
        )

    async def _settled(self) -> None:
        """Returns when the service is at nothing; a fault if that does not come."""
        service = self._service
        stop = time.monotonic() + HANG_SECONDS
        while service.server.calls_in_progress or not service.store.idle:
            if time.monotonic() > stop:
                self._fault(
                    f"{service.server.calls_in_progress} calls are still in progress, "
                    f"or hold what they had (store idle: {service.store.idle})"
                )
                return
            await asyncio.sleep(0.005)

    async def _processed(self) -> None:
        """Returns when no document is at work, nor waits for it: each is in memory meanwhile."""

        def left() -> int:
            (row,) = self._backend.rows(_JOBS)
            return int(row.number)

        least, stop = sys.maxsize, time.monotonic() + HANG_SECONDS
        while now := await asyncio.to_thread(left):
            if now < least:
                least, stop = now, time.monotonic() + HANG_SECONDS
            if time.monotonic() > stop:
                self._fault(f"{now} documents are not processed")
                return
            await asyncio.sleep(0.02)

    async def _effects(self) -> tuple[dict[str, int], set[str]]:
        """Changes by request_id, and the request_ids that have a final receipt."""

        def read() -> tuple[dict[str, int], set[str]]:
            changes = self._backend.rows(_CHANGES, tenant=self._tenant)
            receipts = self._backend.rows(_RECEIPTS, tenant=self._tenant)
            return (
                {row.request_id: row.number for row in changes},
                {row.request_id for row in receipts},
            )

        return await asyncio.to_thread(read)

    def _judge_first(
        self, writes: Sequence[Attempt], changes: dict[str, int], receipts: set[str]
    ) -> None:
        for attempt in writes:
            found = changes.get(attempt.request_id, 0)
            whole = found == attempt.changes
            part = "whole" if whole else "part" if found else "none"
            self.findings.effects[part] += 1
            if part == "part" and not attempt.steps:
                self._fault(f"{attempt.method}: {found} of {attempt.changes} changes")
            if (attempt.request_id in receipts) is not whole and not attempt.steps:
                self._fault(f"{attempt.method}: receipt and effect differ ({part})")
            if attempt.answer is not None and not whole:
                self._fault(f"{attempt.method}: OK, but the effect is {part}")

    def _fault(self, text: str) -> None:
        self.findings.faults.append(text)


def _in_progress(error: grpc.aio.AioRpcError) -> bool:
    """A duplicate that did not outlast its own deadline."""
    return error.code() is grpc.StatusCode.ABORTED and "still running" in (error.details() or "")
