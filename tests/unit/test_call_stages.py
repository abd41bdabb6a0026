"""Stages of calls: they add up, and each call has its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from service.runtime import call_stages
from service.runtime.call_stages import MAX_STAGES, CallStages, stage
from service.runtime.coalescing import Coalescer
from tests.harness import REPOSITORY


def names(stages: CallStages) -> list[str]:
    return [name for name, _, _ in stages.noted]


async def noted_by(stages: CallStages | None, item: int, coalescer: Coalescer[int, int]) -> int:
    call_stages.enter(stages)
    return await coalescer.submit(item)


def test_without_a_call_that_wants_it_nothing_is_noted() -> None:
    with stage("rank"):
        assert call_stages.current() is None


def test_a_stage_inside_another_one_is_not_noted() -> None:
    stages = CallStages()
    token = call_stages.enter(stages)
    with stage("hydrate"):
        with stage("read"):
            pass
        stages.note("hydrate.sort", 1.0, 2.0)
    with stage("answer"):
        pass
    call_stages.leave(token)
    with stage("late"):
        pass

    assert names(stages) == ["hydrate.sort", "hydrate", "answer"]
    for _, began, ended in stages.noted:
        assert began <= ended
    assert stages.seconds().keys() == {*names(stages)}


def test_the_parts_of_a_stage_are_noted_if_it_says_so() -> None:
    stages = CallStages()
    token = call_stages.enter(stages)
    with stage("transaction", parts=True), stage("transaction.lock"), stage("read"):
        pass
    call_stages.leave(token)
    assert names(stages) == ["transaction.lock", "transaction"]


def test_of_very_many_stages_the_seconds_are_kept() -> None:
    stages = CallStages()
    for number in range(3 * MAX_STAGES):
        stages.note("read", number, number + 0.5)
    stages.note("wait", 0, 7)
    assert len(stages.noted) == MAX_STAGES
    assert stages.seconds() == {"read": 1.5 * MAX_STAGES, "wait": 7}


async def test_the_calls_of_a_batch_share_its_stages_and_wait_for_themselves() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        with stage("work"):
            begun.set()
            await release.wait()
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=10)
    first, second, third = CallStages(), CallStages(), CallStages()
    tasks = [asyncio.create_task(noted_by(first, 0, coalescer))]
    await begun.wait()
    # These wait for the batch in work, and are the next one.
    tasks += [
        asyncio.create_task(noted_by(each, number, coalescer))
        for number, each in enumerate((second, third, None), 1)
    ]
    await asyncio.sleep(0)
    release.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3]

    for stages in (first, second, third):
        assert names(stages) == ["queue", "work"]
        (_, *queue), (_, *work) = stages.noted
        assert [*queue, *work] == sorted([*queue, *work])
    assert second.noted[1] == third.noted[1] != first.noted[1]
    (_, submitted, begun_after), (_, _, first_over) = second.noted[0], first.noted[1]
    assert submitted <= first_over <= begun_after


async def test_a_call_that_leaves_the_queue_notes_how_long_it_waited() -> None:
    release = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return items

    coalescer: Coalescer[int, int] = Coalescer(run, max_waiting=10)
    stages = CallStages()
    working = asyncio.create_task(coalescer.submit(0))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(noted_by(stages, 1, coalescer))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    release.set()
    await working
    assert names(stages) == ["queue"]


def test_the_page_for_operators_has_every_stage() -> None:
    page = (REPOSITORY / "service/OPERATIONS.md").read_text()
    table = page.split("## Slow calls")[1].split("\n## ")[0]
    sources = [path.read_text() for path in (REPOSITORY / "service").glob("**/*.py")]
    noted = {
        name for text in sources for name in re.findall(r'(?:with stage|note)\("([\w.]+)"', text)
    }
    assert {"queue", "rank.words", "hydrate"} <= noted
    assert [name for name in sorted(noted) if f"`{name}`" not in table] == []
