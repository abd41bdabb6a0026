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
    roots = found.roots()
    here = {root.id for root in roots}
    known = {document.root for document in recognition.with_root()}
    for root in roots:
        if root.named or root.id in known:
            continue
        sources = [source for source in found.sources if source.root == root]
        # A file that was named itself says little: only a folder of the same name is the same.
        folder = root in found.folders
        others: dict[str, list[Imported]] = defaultdict(list)
        for document in recognition.with_root():
            name, _, path = document.name.partition("/")
            if document.root not in here and (folder or name == root.name):
                others[path].append(document)
        new = [source for source in sources if not recognition.known(source)]
        _require_other_content(root, new, len(sources), others, digest)


def _require_other_content(
    root: Root,
    new: Sequence[Source],
    total: int,
    others: Mapping[str, Sequence[Imported]],
    digest: Callable[[Source], str | None],
) -> None:
    candidates = [source for source in new if _path(source.name) in others]
    if not candidates or len(candidates) < total * _SAME_SHARE:
        return
    same = Counter[str]()
    for source in candidates:
        content = digest(source)
        same.update(
            {
                document.name.partition("/")[0]
                for document in others[_path(source.name)]
                if document.digest == content
            }
        )
    for name, count in same.most_common(1):
        if count >= total * _SAME_SHARE:
            raise AmbiguousRootError(
                f"{count} of {total} files in {root.name} are the same as those imported before "
                f"from a folder named {name}. If it is that folder, moved, renamed or on another "
                f"machine, add `--as {name}` to go on with its documents; if it is another, give "
                "it a name of its own with `--as`"
            )


def _path(name: str) -> str:
    """The path of a file in its root."""
    return name.partition("/")[2]
