"""A model of a container that one caller writes: what must be in it.

The caller sends one mutation at a time, so at every moment the model is as it was
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
class Mutation:
    """One mutation.

    Args:
        after: What the model is when it is done.
        atomic: Whether it may never be seen half done.
        learn: Takes the ids from its answer.
    """

    request: Any
    after: State
    atomic: bool = True
    learn: Callable[[Any], None] = lambda response: None


class ContainerModel:
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
        self.pending: Mutation | None = None
        self.last: tuple[Message, bytes] | None = None
        self._chance = chance
        self._batch = batch
        self._padding = "." * padding
        self._count = 0
        self._ids: dict[str, str] = {}
        self._batches: dict[str, str] = {}

    def next(self) -> Mutation:
        """A mutation that the contract allows on the model as it is."""
        while True:
            make = self._chance.choice(_MUTATIONS)
            mutation: Mutation | None = make(self, deepcopy(self.state))
            if mutation is not None:
                mutation.request.request_id = str(uuid4())
                return mutation

    def done(self, mutation: Mutation, response: Any, body: bytes) -> None:
        """The mutation was acknowledged."""
        mutation.learn(response)
        self.state = mutation.after
        self.pending = None
        self.last = (mutation.request, body)

    def _text(self) -> str:
        self._count += 1
        return f"{self.container} {self._count} {self._padding}"

    def _upsert_request(self, state: State) -> d.UpsertDocumentRequest:
        name = f"{self.container}-{self._chance.randrange(3 * self._batch)}"
        state.documents[name] = self._text()
        return d.UpsertDocumentRequest(
            content=state.documents[name], custom_id=name, container_tags=[self.container]
        )

    def _upsert(self, state: State) -> Mutation:
        return Mutation(self._upsert_request(state), state)

    def _upsert_batch(self, state: State) -> Mutation:
        items: dict[str, d.UpsertDocumentRequest] = {}
        for _ in range(self._batch):
            item = self._upsert_request(state)
            items[item.custom_id] = item
        request = d.BatchUpsertDocumentsRequest(items=list(items.values()))
        return Mutation(request, state, atomic=False)

    def _update_document(self, state: State) -> Mutation | None:
        if not state.documents:
            return None
        name = self._chance.choice(sorted(state.documents))
        state.documents[name] = self._text()
        return Mutation(d.UpdateDocumentRequest(id=name, content=state.documents[name]), state)

    def _delete_document(self, state: State) -> Mutation | None:
        if not state.documents:
            return None
        name = self._chance.choice(sorted(state.documents))
        del state.documents[name]
        return Mutation(d.DeleteDocumentRequest(id=name), state)

    def _delete_ids(self, state: State) -> Mutation | None:
        names = self._some(sorted(state.documents))
        for name in names:
            del state.documents[name]
        return (
            Mutation(d.BulkDeleteDocumentsRequest(ids=names), state, atomic=False)
            if names
            else None
        )

    def _delete_documents(self, state: State) -> Mutation | None:
        if len(state.documents) < self._batch:
            return None
        state.documents.clear()
        request = d.BulkDeleteDocumentsRequest(container_tags=[self.container])
        return Mutation(request, state, atomic=False)

    def _delete_container(self, state: State) -> Mutation | None:
        if len(state.documents) + len(state.chains) < 2 * self._batch:
            return None
        request = c.DeleteContainerRequest(container_tag=self.container)
        return Mutation(request, State(), atomic=False)

    def _create(self, state: State) -> Mutation:
        texts = [self._text() for _ in range(self._chance.randint(1, 3))]
        state.chains.update({text: Chain([text]) for text in texts})

        def learn(response: m.CreateMemoriesResponse) -> None:
            for text, receipt in zip(texts, response.receipts, strict=True):
                self._ids[text] = receipt.id

        memories = [m.NewMemory(content=text) for text in texts]
        request = m.CreateMemoriesRequest(container_tag=self.container, memories=memories)
        return Mutation(request, state, learn=learn)

    def _update(self, state: State) -> Mutation | None:
        chain = self._any_chain(state, forgotten=False)
        if chain is None:
            return None
        old, new = chain.contents[-1], self._text()
        chain.contents.append(new)

        def learn(response: m.UpdateMemoryResponse) -> None:
            self._ids[new] = response.receipt.id

        request = m.UpdateMemoryRequest(container_tag=self.container, content=old, new_content=new)
        return Mutation(request, state, learn=learn)

    def _forget(self, state: State) -> Mutation | None:
        chain = self._any_chain(state, forgotten=False)
        if chain is None:
            return None
        chain.forgotten_by = "hand"
        request = m.ForgetMemoryRequest(container_tag=self.container, content=chain.contents[-1])
        return Mutation(request, state)

    def _restore(self, state: State) -> Mutation | None:
        chain = self._any_chain(state, forgotten=True)
        if chain is None:
            return None
        chain.forgotten_by = ""
        name = self._ids[chain.contents[-1]]
        return Mutation(m.RestoreMemoryRequest(container_tag=self.container, id=name), state)

    def _forget_many(self, state: State) -> Mutation | None:
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
        return Mutation(request, state, learn=learn)

    def _restore_many(self, state: State) -> Mutation | None:
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
        return Mutation(request, state)

    def _delete(self, state: State) -> Mutation | None:
        if not state.chains:
            return None
        chain = state.chains.pop(self._chance.choice(sorted(state.chains)))
        name = self._ids[self._chance.choice(chain.contents)]
        return Mutation(m.DeleteMemoryRequest(container_tag=self.container, id=name), state)

    def _any_chain(self, state: State, *, forgotten: bool) -> Chain | None:
        fit = [chain for chain in state.chains.values() if bool(chain.forgotten_by) == forgotten]
        return self._chance.choice(fit) if fit else None

    def _some(self, things: Sequence[Any]) -> list[Any]:
        return self._chance.sample(things, min(len(things), self._chance.randint(1, 3)))


_MUTATIONS: Sequence[Callable[[ContainerModel, State], Mutation | None]] = (
    *[
        ContainerModel._upsert,
        ContainerModel._upsert_batch,
        ContainerModel._create,
        ContainerModel._update,
    ]
    * 3,
    *[ContainerModel._update_document, ContainerModel._forget, ContainerModel._restore] * 2,
    ContainerModel._delete_document,
    ContainerModel._delete_ids,
    ContainerModel._delete_documents,
    ContainerModel._delete_container,
    ContainerModel._forget_many,
    ContainerModel._restore_many,
    ContainerModel._delete,
)
"""Every mutation of the contract, those that make something more often."""
