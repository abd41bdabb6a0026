"""A chat that remembers: `chat.py ADDRESS KEY USER`, a line for each thing that is said.

A line that begins with "forget " forgets what fits the rest of it best.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import palimpsest


def reply(client: palimpsest.Client, user: str, said: str) -> str:
    """Where a model would answer, with what is remembered in its prompt."""
    if said.startswith("forget "):
        found = client.memories.search(said.removeprefix("forget "), container_tags=user, limit=1)
        for hit in found.hits:
            client.memories.forget(user, id=hit.memory.id, reason="asked to")
        return f"forgotten: {', '.join(hit.memory.content for hit in found.hits) or 'nothing'}"
    found = client.memories.search(said, container_tags=user, limit=3, min_score=0.3)
    client.memories.create(user, {"content": said, "metadata": {"source": "chat"}})
    return f"remembered before: {'; '.join(hit.memory.content for hit in found.hits) or 'nothing'}"


def chat(address: str, key: str, user: str, lines: Iterable[str]) -> None:
    with palimpsest.connect(address, key, actor=f"chat:{user}") as client:
        for line in lines:
            try:
                print(reply(client, user, line.strip()), flush=True)
            except palimpsest.InvalidRequestError as error:
                print(error.message, flush=True)


if __name__ == "__main__":
    chat(sys.argv[1], sys.argv[2], sys.argv[3], sys.stdin)
