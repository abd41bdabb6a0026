"""Noticing that a folder was imported before from elsewhere, so that nothing is imported twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from service.client.importing.files import Found, Source
from service.client.importing.imported import Imported
from service.client.importing.recognition import AmbiguousRootError, Recognition
from service.client.importing.roots import Root

_SAME_SHARE: Final = 0.5
"""Of a folder's files that are the same in another: from here on it is taken for that one."""


def require_unmoved(
    found: Found, recognition: Recognition, digest: Callable[[Source], str | None]
) -> None:
    """Check that no folder that is new here was imported before from another place.

    Args:
        found: The files, and the folders that they are in.
        recognition: Of these files.
        digest: The digest of a file's content; None if it cannot be imported.

    Raises:
        AmbiguousRootError: One has the same files as another; it may have been moved.
    """
    here = {root.id for root in found.roots()}
    known = set[str]()
    elsewhere: dict[str, list[Imported]] = defaultdict(list)
    for document in recognition.with_root():
        known.add(document.root)
        if document.root not in here:
            elsewhere[_split(document.name)[1]].append(document)
    files: dict[Root, list[Source]] = defaultdict(list)
    for source in found.sources:
        files[source.root].append(source)
    folders = set(found.folders)
    for root, sources in files.items():
        if root.named or root.id in known:
            continue
        candidates = {
            source: [
                document
                for document in elsewhere.get(_split(source.name)[1], ())
                # Files that were named themselves say little of their folder.
                if root in folders or _split(document.name)[0] == root.name
            ]
            for source in sources
            if not recognition.known(source)
        }
        _require_other_content(root, len(sources), candidates, digest)


def _require_other_content(
    root: Root,
    total: int,
    candidates: Mapping[Source, Sequence[Imported]],
    digest: Callable[[Source], str | None],
) -> None:
    """
    Args:
        root: The folder.
        total: How many files are in it.
        candidates: Files in it, and the documents of the same paths in other folders.
        digest: As above.
    """
    if sum(map(bool, candidates.values())) < total * _SAME_SHARE:
        return
    same = Counter[str]()
    for source, documents in candidates.items():
        content = digest(source) if documents else None
        same.update({_split(other.name)[0] for other in documents if other.digest == content})
    for name, count in same.most_common(1):
        if count >= total * _SAME_SHARE:
            raise AmbiguousRootError(
                f"{count} of {total} files in {root.name} are the same as those imported before "
                f"from a folder named {name}. If it is that folder, moved, renamed or on another "
                f"machine, add `--as {name}` to go on with its documents; if it is another, give "
                "it a name of its own with `--as`"
            )


def _split(name: str) -> tuple[str, str]:
    """The name of the root, and the path in it."""
    root, _, path = name.partition("/")
    return root, path
