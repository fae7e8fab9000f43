"""Locks that an interrupt exactly at the end of a ``with`` block has left taken: see docs/faults.md."""

from __future__ import annotations

import sys
import threading

_KIND = type(threading.RLock())


def release_all() -> int:
    """Let go of the package's locks that this thread still holds, or other threads of later tests would wait.

    How many there were.
    """
    left = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("anydraft."):
            for lock in [value for value in vars(module).values() if isinstance(value, _KIND)]:
                left += _released(lock)
    return left


def _released(lock: threading.RLock) -> int:  # type: ignore[valid-type]
    count = 0
    while True:
        try:
            lock.release()  # type: ignore[attr-defined]
        except RuntimeError:  # it is not this thread's
            return count
        count += 1
