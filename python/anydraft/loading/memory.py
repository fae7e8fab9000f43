"""How much memory is left on this machine, or in this container, and how much of it copies may take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_GROUP = Path("/sys/fs/cgroup")
_SYSTEM = Path("/proc/meminfo")

_LEAST_LEFT = 1 << 30
_PART_LEFT = 8
"""One byte in so many of all memory stays free, :data:`_LEAST_LEFT` at least: for keys, values and others."""


class Memory(NamedTuple):
    """Of a machine or a container, in bytes."""

    available: int
    """What a process may still take without swapping."""
    total: int


def available_bytes() -> int | None:
    """Bytes that a process may still take without swapping; ``None`` where the system does not say."""
    known = _known()
    return min(memory.available for memory in known) if known else None


def spare_bytes() -> int | None:
    """Bytes that a copy may take, so that enough is left after it; ``None`` where the system does not say."""
    known = _known()
    if not known:
        return None
    return min(memory.available - max(_LEAST_LEFT, memory.total // _PART_LEFT) for memory in known)


def _known() -> list[Memory]:
    return [memory for memory in (_of_system(), _of_container()) if memory is not None]


def _of_system() -> Memory | None:
    with suppress(OSError, ValueError, IndexError, KeyError):
        lines = (line.split() for line in _SYSTEM.read_text(encoding="ascii").splitlines())
        found = {line[0]: int(line[1]) * 1024 for line in lines}
        return Memory(found["MemAvailable:"], found["MemTotal:"])
    return None


def _of_container() -> Memory | None:
    with suppress(OSError, ValueError):
        most = int((_GROUP / "memory.max").read_text(encoding="ascii"))
        taken = int((_GROUP / "memory.current").read_text(encoding="ascii"))
        return Memory(max(0, most - taken), most)
    return None
