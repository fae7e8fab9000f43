"""How much memory is left on this machine, or in this container."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Bytes that a process may still take without swapping; ``None`` where the system does not say."""
    found = [_of_system(), _of_container()]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def _of_system() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_container() -> int | None:
    with suppress(OSError, ValueError):
        most = int((_GROUP / "memory.max").read_text(encoding="ascii"))
        return max(0, most - int((_GROUP / "memory.current").read_text(encoding="ascii")))
    return None
