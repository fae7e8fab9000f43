"""The memory of this process."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import Any

import pytest

told = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the system does not tell a process's memory"
)


def resident() -> int:
    """Pages of memory in use, after everything that can be given back was."""
    gc.collect()
    libc: Any = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1])
