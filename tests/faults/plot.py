"""A plot: a container that one caller writes, and what must be in it.

The caller sends one mutation at a time, so at every moment the plot is as it was
before the mutation under way, or as it will be after it. The model knows things
by what was written into them; ids are learned from the answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m


@dataclass
class Chain:
    """A memory: its versions' texts, and by what it is forgotten ("" if it is not)."""

    contents: list[str]
    forgotten_by: str = ""


@dataclass
class State:
    """Contents of the documents by custom id, and memories by their first text."""

    documents: dict[str, str] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)

    def seen(self) -> dict[str, object]:
        """What can be read of it, thing by thing."""
        return {
            **{f"document {name}": text for name, text in self.documents.items()},
            **{
                f"memory {first}": (tuple(chain.contents), bool(chain.forgotten_by))
                for first, chain in self.chains.items()
            },
        }


@dataclass
class Deed:
    """One mutation.

    Args:
        after: What the plot is when it is done.
        atomic: Whether it may never be seen half done.
        learn: Takes the ids from its answer.
    """

    request: Any
    after: State
    atomic: bool = True
    learn: Callable[[Any], None] = lambda response: None


class Plot:
    """What is in one container, and random mutations of it.

    Args:
        batch: How many documents its batches write.
        padding: Bytes added to every text.
    """

    def __init__(
        self, container: str, chance: random.Random, *, batch: int = 3, padding: int = 0
    ) -> None:
        self.container = container
        self.state = State()
        self.pending: Deed | None = None
        self.last: tuple[Message, bytes] | None = None
        self._chance = chance
        self._batch = batch
        self._padding = "." * padding
        self._count = 0
        self._ids: dict[str, str] = {}
        self._batches: dict[str, str] = {}

    def next(self) -> Deed:
        """A mutation that the contract allows on the plot as it is."""
        while True:
            make = self._chance.choice(_DEEDS)
            deed: Deed | None = make(self, deepcopy(self.state))
            if deed is not None:
                deed.request.request_id = str(uuid4())
                return deed

    def done(self, deed: Deed, response: Any, body: bytes) -> None:
        """The mutation was acknowledged."""
        deed.learn(response)
        self.state = deed.after
        self.pending = None
        self.last = (deed.request, body)

    def _text(self) -> str:
        self._count += 1
        return f"{self.container} {self._count} {self._padding}"

    def _upsert_request(self, state: State) -> d.UpsertDocumentRequest:
        name = f"{self.container}-{self._chance.randrange(3 * self._batch)}"
        state.documents[name] = self._text()
        return d.UpsertDocumentRequest(
            content=state.documents[name], custom_id=name, container_tags=[self.container]
        )

    def _upsert(self, state: State) -> Deed:
        return Deed(self._upsert_request(state), state)

    def _upsert_batch(self, state: State) -> Deed:
        items: dict[str, d.UpsertDocumentRequest] = {}
        for _ in range(self._batch):
            item = self._upsert_request(state)
            items[item.custom_id] = item
        request = d.BatchUpsertDocumentsRequest(items=list(items.values()))
        return Deed(request, state, atomic=False)

    def _update_document(self, state: State) -> Deed | None:
        if not state.documents:
            return None
        name = self._chance.choice(sorted(state.documents))
        state.documents[name] = self._text()
        return Deed(d.UpdateDocumentRequest(id=name, content=state.documents[name]), state)

    def _delete_document(self, state: State) -> Deed | None:
        if not state.documents:
            return None
        name = self._chance.choice(sorted(state.documents))
        del state.documents[name]
        return Deed(d.DeleteDocumentRequest(id=name), state)

    def _delete_ids(self, state: State) -> Deed | None:
        names = self._some(sorted(state.documents))
        for name in names:
            del state.documents[name]
        return Deed(d.BulkDeleteDocumentsRequest(ids=names), state, atomic=False) if names else None

    def _delete_documents(self, state: State) -> Deed | None:
        if len(state.documents) < self._batch:
            return None
        state.documents.clear()
        request = d.BulkDeleteDocumentsRequest(container_tags=[self.container])
        return Deed(request, state, atomic=False)

    def _delete_container(self, state: State) -> Deed | None:
        if len(state.documents) + len(state.chains) < 2 * self._batch:
            return None
        request = c.DeleteContainerRequest(container_tag=self.container)
        return Deed(request, State(), atomic=False)

    def _create(self, state: State) -> Deed:
        texts = [self._text() for _ in range(self._chance.randint(1, 3))]
        state.chains.update({text: Chain([text]) for text in texts})

        def learn(response: m.CreateMemoriesResponse) -> None:
            for text, receipt in zip(texts, response.receipts, strict=True):
                self._ids[text] = receipt.id

        memories = [m.NewMemory(content=text) for text in texts]
        request = m.CreateMemoriesRequest(container_tag=self.container, memories=memories)
        return Deed(request, state, learn=learn)

    def _update(self, state: State) -> Deed | None:
        chain = self._any_chain(state, forgotten=False)
        if chain is None:
            return None
        old, new = chain.contents[-1], self._text()
        chain.contents.append(new)

        def learn(response: m.UpdateMemoryResponse) -> None:
            self._ids[new] = response.receipt.id

        request = m.UpdateMemoryRequest(container_tag=self.container, content=old, new_content=new)
        return Deed(request, state, learn=learn)

    def _forget(self, state: State) -> Deed | None:
        chain = self._any_chain(state, forgotten=False)
        if chain is None:
            return None
        chain.forgotten_by = "hand"
        request = m.ForgetMemoryRequest(container_tag=self.container, content=chain.contents[-1])
        return Deed(request, state)

    def _restore(self, state: State) -> Deed | None:
        chain = self._any_chain(state, forgotten=True)
        if chain is None:
            return None
        chain.forgotten_by = ""
        name = self._ids[chain.contents[-1]]
        return Deed(m.RestoreMemoryRequest(container_tag=self.container, id=name), state)

    def _forget_many(self, state: State) -> Deed | None:
        kept = [chain for chain in state.chains.values() if not chain.forgotten_by]
        chosen = self._some(kept)
        if not chosen:
            return None
        batch = str(uuid4())
        for chain in chosen:
            chain.forgotten_by = batch

        def learn(response: m.ForgetMemoriesResponse) -> None:
            self._batches[batch] = response.forget_batch_id

        names = [self._ids[chain.contents[-1]] for chain in chosen]
        request = m.ForgetMemoriesRequest(container_tag=self.container, ids=names)
        return Deed(request, state, learn=learn)

    def _restore_many(self, state: State) -> Deed | None:
        batches = {chain.forgotten_by for chain in state.chains.values()} & self._batches.keys()
        if not batches:
            return None
        batch = self._chance.choice(sorted(batches))
        for chain in state.chains.values():
            if chain.forgotten_by == batch:
                chain.forgotten_by = ""
        request = m.RestoreMemoriesRequest(
            container_tag=self.container, forget_batch_id=self._batches[batch]
        )
        return Deed(request, state)

    def _delete(self, state: State) -> Deed | None:
        if not state.chains:
            return None
        chain = state.chains.pop(self._chance.choice(sorted(state.chains)))
        name = self._ids[self._chance.choice(chain.contents)]
        return Deed(m.DeleteMemoryRequest(container_tag=self.container, id=name), state)

    def _any_chain(self, state: State, *, forgotten: bool) -> Chain | None:
        fit = [chain for chain in state.chains.values() if bool(chain.forgotten_by) == forgotten]
        return self._chance.choice(fit) if fit else None

    def _some(self, things: Sequence[Any]) -> list[Any]:
        return self._chance.sample(things, min(len(things), self._chance.randint(1, 3)))


_DEEDS: Sequence[Callable[[Plot, State], Deed | None]] = (
    *[Plot._upsert, Plot._upsert_batch, Plot._create, Plot._update] * 3,
    *[Plot._update_document, Plot._forget, Plot._restore] * 2,
    Plot._delete_document,
    Plot._delete_ids,
    Plot._delete_documents,
    Plot._delete_container,
    Plot._forget_many,
    Plot._restore_many,
    Plot._delete,
)
"""Every mutation of the contract, those that make something more often."""
