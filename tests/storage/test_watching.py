"""Whom a commit wakes."""

from __future__ import annotations

import asyncio

import pytest

from service.storage.watching import ANYTHING, Watchers
from tests.waiting import HANG_SECONDS

KEYS = [(1, "a"), (1, "b"), (1, ANYTHING), (2, "a"), (2, ANYTHING)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([(1, "a")], [(1, "a"), (1, ANYTHING)]),
        ([(1, "a"), (1, "c"), (2, "b")], [(1, "a"), (1, ANYTHING), (2, ANYTHING)]),
        ([(1, ANYTHING)], [(1, "a"), (1, "b"), (1, ANYTHING)]),
        ([(3, "a")], []),
    ],
)
async def test_those_who_watch_what_changed(
    changed: list[tuple[int, str]], expected: list[tuple[int, str]]
) -> None:
    watchers = Watchers(poll_seconds=HANG_SECONDS)
    woken = list[tuple[int, str]]()

    async def watch(key: tuple[int, str]) -> None:
        with watchers.watching(*key) as watcher:
            await watcher.changed()
            woken.append(key)

    async with asyncio.timeout(HANG_SECONDS / 2):
        watching = [asyncio.create_task(watch(key)) for key in KEYS]
        await asyncio.sleep(0)
        watchers.notify(changed)
        woken_tasks = [task for key, task in zip(KEYS, watching, strict=True) if key in expected]
        await asyncio.gather(*woken_tasks)
    assert sorted(woken) == sorted(expected)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    assert watchers.idle
