"""Calls through restarts of the server: none fails, none is lost, none is done twice."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import palimpsest
from tests.harness import Server, start_server
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.processes

ROUNDS_BETWEEN = 10
"""What each user has written before the server is stopped, and again before it is killed."""


class Load:
    """What four users write until they are told to stop."""

    def __init__(self) -> None:
        self.written = Counter[str]()
        self.stop = threading.Event()

    def in_a_thread(self, server: Server, user: str) -> None:
        with palimpsest.connect(server.address, server.key, timeout=HANG_SECONDS) as client:
            while not self.stop.is_set():
                number = self.written[user]
                client.memories.create(user, f"{user} says {number}")
                client.documents.append_messages(
                    user, f"{user} says {number}", create_if_missing=True
                )
                client.memories.search(f"says {number}", container_tags=user)
                self.written[user] += 1

    async def in_a_loop(self, server: Server, user: str) -> None:
        async with palimpsest.connect_async(
            server.address, server.key, timeout=HANG_SECONDS
        ) as client:
            while not self.stop.is_set():
                number = self.written[user]
                await client.memories.create(user, f"{user} says {number}")
                await client.documents.append_messages(
                    user, f"{user} says {number}", create_if_missing=True
                )
                await client.memories.search(f"says {number}", container_tags=user)
                self.written[user] += 1

    def more(self, users: list[str]) -> Callable[[], bool]:
        """Whether every user has written more, since now."""
        goal = {user: self.written[user] + ROUNDS_BETWEEN for user in users}
        return lambda: all(self.written[user] >= least for user, least in goal.items())


def or_failed(condition: Callable[[], bool], running: list[Future[Any]]) -> Callable[[], bool]:
    """The condition, or that a user's call has failed."""
    return lambda: condition() or any(each.done() for each in running)


def test_four_users_through_a_restart_and_a_kill(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    load = Load()
    threads, loops = ["ann", "ben"], ["cleo", "dan"]
    users = [*threads, *loops]

    async def all_loops() -> None:
        await asyncio.gather(*(load.in_a_loop(server, user) for user in loops))

    try:
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(load.in_a_thread, server, user) for user in threads]
            running.append(pool.submit(asyncio.run, all_loops()))
            try:
                for end in (Server.stop, Server.kill):
                    wait_until(or_failed(load.more(users), running))
                    end(server)
                    server = start_server(server.data_dir, address=server.address)
                wait_until(or_failed(load.more(users), running))
            finally:
                load.stop.set()
            for each in running:
                each.result()
        with palimpsest.connect(server.address, server.key, timeout=HANG_SECONDS) as client:
            for user in users:
                said = [f"{user} says {number}" for number in range(load.written[user])]
                kept = [memory.content for memory in client.memories.iterate(container_tags=user)]
                talk = client.documents.get(user).document.conversation.messages
                assert sorted(kept) == sorted(said)
                assert [message.text for message in talk] == said
    finally:
        server.kill()
