"""Where this process, and those that it starts, import modules from.

Never from the folder that a process happens to be started in: a user that can write there
could have the service execute a file of theirs.
"""

from __future__ import annotations

import os
import sys


def remove_current_folder() -> None:
    """Take the current folder out of the module path, unless this package is in it."""
    sys.path[:] = absolute()


def absolute() -> list[str]:
    """The module path as it is to be whatever the current folder.

    The folder of this package stays where it is (in a checkout it is often the current
    one); an entry that names the current folder, or depends on it, is left out.
    """
    home = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))  # noqa: PTH100, PTH118, PTH120
    kept = [entry for entry in sys.path if _same(entry, home) or not _current(entry)]
    return kept if any(_same(entry, home) for entry in kept) else [*kept, home]


def _current(entry: str) -> bool:
    return not os.path.isabs(entry) or _same(entry, ".")  # noqa: PTH117


def _same(entry: str, folder: str) -> bool:
    try:
        return os.path.samefile(entry, folder)  # noqa: PTH121
    except OSError:
        return False
