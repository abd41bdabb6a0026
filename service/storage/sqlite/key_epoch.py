"""A counter of changes to the keys, next to the embedded database.

Every process that changes keys advances it, and a server reads it on each
call. It is mapped into memory, because even a system call as cheap as stat(2)
lets go of the interpreter lock, and taking it back under load costs more than
all the rest of authentication.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import Self

_COUNTER = struct.Struct("<Q")


class KeyEpoch:
    """The counter of the database at `path`, in a file made if it is missing."""

    def __init__(self, path: Path) -> None:
        name = path.with_name(path.name + ".keys")
        descriptor = os.open(name, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_size < _COUNTER.size:
                os.pwrite(descriptor, _COUNTER.pack(0), 0)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._map = mmap.mmap(descriptor, _COUNTER.size)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def current(self) -> bytes:
        """Differs after every change, whichever process made it."""
        return self._map[:]

    def advance(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            (count,) = _COUNTER.unpack(self._map[:])
            self._map[:] = _COUNTER.pack(count + 1)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if not self._map.closed:
            self._map.close()
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
