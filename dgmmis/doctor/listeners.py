"""Which ports a process and its children listen on, as Linux tells it in /proc."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path

__all__ = ["listeners"]

LISTEN = "0A"
"""State of a socket in /proc/net/tcp."""


def listeners(pid: int) -> list[tuple[str, int]]:
    """List (host, port) of every TCP socket that a process or one of its descendants listens on.

    Where there is no /proc, the list is empty.
    """
    ours = {inode for process in _tree(pid) for inode in _sockets(process)}
    return sorted({(host, port) for host, port, inode in _listening(pid) if inode in ours})


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found = [pid]
    for process in found:
        found += children.get(process, [])
    return found


def _sockets(pid: int) -> set[str]:
    """Inodes of the sockets that a process has open."""
    inodes = set()
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = link.readlink().name
                if target.startswith("socket:["):
                    inodes.add(target[len("socket:[") : -1])
    return inodes


def _listening(pid: int) -> list[tuple[str, int, str]]:
    """Host, port and inode of every listening socket of the process's network."""
    found = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN:
                    host, _, port = fields[1].partition(":")
                    found.append((_host(host), int(port, 16), fields[9]))
    return found


def _host(text: str) -> str:
    """Read an address as the kernel writes it: words of four bytes, each in the machine's order."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
