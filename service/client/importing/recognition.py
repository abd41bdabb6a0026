"""Which document an earlier import has made of a file.

A file is recognised by its root and its name, and by where it is if it was imported from
another folder above it. Documents of releases that noted no root are recognised by the names
that those gave: relative to the working folder or, from elsewhere, to the folder that contains
what was named.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from service.client.importing.files import Found, Source
from service.client.importing.imported import Imported
from service.client.importing.roots import Root, clean, custom_id, root_of, roots_above


class AmbiguousRootError(Exception):
    """It is not clear which folder is meant; the text says what to do, and is safe to print."""


class Recognition:
    """The documents in a container, and which of them belong to the files that were found."""

    def __init__(
        self, container: str, found: Found, imported: Iterable[Imported], base: Path
    ) -> None:
        """
        Args:
            container: Of the documents.
            found: The files.
            imported: All documents that imports have made there.
            base: The working folder.

        Raises:
            AmbiguousRootError: The name that the user has given stands for several folders.
        """
        self._container = container
        self._found = found
        self._by_name: dict[tuple[str, str], Imported] = {}
        self._earlier: dict[str, Imported] = {}
        self._ids: set[str] = set()
        for document in imported:
            self._ids.add(document.custom_id)
            if document.root:
                self._by_name[document.root, document.name] = document
            else:
                self._earlier[unicodedata.normalize("NFC", document.name)] = document
        self._root_ids = {root for root, _ in self._by_name}
        self._adopted = {root.id: self._adoptable(root) for root in found.roots()}
        self._known: dict[Path, Imported] = {}
        for find in (self._by_place, partial(self._by_earlier_name, base), self._by_earlier_id):
            for source in found.sources:
                if source.path not in self._known and (known := find(source)) is not None:
                    self._known[source.path] = known

    @property
    def unrecognised(self) -> list[Imported]:
        """Documents of earlier releases that belong to no file seen so far."""
        return list(self._earlier.values())

    def document_of(self, source: Source, digest: str) -> Imported | None:
        """The document of a file with this content; None: it was not imported before."""
        return self._known.get(source.path) or self._by_earlier_content(source, digest)

    def new_id(self, source: Source) -> str:
        """A custom id for a file that was not imported before."""
        made = custom_id(self._container, source.name)
        if made in self._ids:  # from another folder of this name
            made = custom_id(self._container, f"{source.name}|{source.root.id}")
        self._ids.add(made)
        return made

    def gone(self) -> list[Imported]:
        """Documents from the given folders whose files are no longer there."""
        folders = {
            known: folder
            for folder in self._found.folders
            for known in (folder.id, *self._adopted.get(folder.id, ()))
        }
        recognised = {document.id for document in self._known.values()}
        return [
            document
            for (root, name), document in self._by_name.items()
            if (folder := folders.get(root)) is not None
            and document.id not in recognised
            and (folder.id, name) not in self._found.seen
            and not os.path.lexists(folder.path / name.partition("/")[2])
        ]

    def known(self, source: Source) -> bool:
        """Whether a file is recognised, whatever its content."""
        return source.path in self._known

    def with_root(self) -> Iterable[Imported]:
        """Documents of which it is known where they were imported from."""
        return self._by_name.values()

    def _adoptable(self, root: Root) -> tuple[str, ...]:
        """The id under which the folder was imported before the user gave it this name."""
        if not root.named:
            return ()
        named = {known for known, name in self._by_name if name.partition("/")[0] == root.name}
        named -= {root.id}
        here = root_of(root.path).id
        if here in named:
            return (here,)
        if len(named) > 1:
            raise AmbiguousRootError(
                f"{len(named)} folders named {root.name} have been imported to this container; "
                "give --as a name of its own"
            )
        return tuple(named)

    def _by_place(self, source: Source) -> Imported | None:
        keys = [(source.root.id, source.name)]
        keys += [
            (root.id, root.name_of(source.path))
            for root in roots_above(source.path)
            if root.id in self._root_ids
        ]
        keys += [(root, source.name) for root in self._adopted[source.root.id]]
        return next((self._by_name[key] for key in keys if key in self._by_name), None)

    def _by_earlier_name(self, base: Path, source: Source) -> Imported | None:
        """By the name that an earlier release would give it in the same working folder."""
        given = source.path if source.given else source.root.path
        above = base if given.is_relative_to(base) else given.parent
        return self._earlier.pop(clean(source.path.relative_to(above).as_posix()), None)

    def _by_earlier_id(self, source: Source) -> Imported | None:
        return self._earlier.pop(source.name, None)

    def _by_earlier_content(self, source: Source, digest: str) -> Imported | None:
        """By any name that it can have had in another working folder, if it has not changed."""
        for folder in source.path.parents if self._earlier else ():
            name = clean(source.path.relative_to(folder).as_posix())
            document = self._earlier.get(name)
            if document is not None and document.digest == digest:
                return self._earlier.pop(name)
        return None
