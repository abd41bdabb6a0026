"""Connections over TCP, as the operating system has them."""

from __future__ import annotations

from pathlib import Path

_REMOTE, _STATE, _INODE = 2, 3, 9
_ESTABLISHED = "01"


def is_connected(pid: int, port: int) -> bool:
    """Whether a process has a connection to a port; of one that has ended, False."""
    try:
        own = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
        table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return False
    connections = (line.split() for line in table)
    return any(
        columns[_STATE] == _ESTABLISHED
        and int(columns[_REMOTE].rpartition(":")[2], 16) == port
        and f"socket:[{columns[_INODE]}]" in own
        for columns in connections
    )
