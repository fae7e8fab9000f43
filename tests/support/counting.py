"""What something costs, counted and not timed: lines of Python, calls into C, bytes of memory."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any


@dataclass
class Work:
    """What was done in a block of code; complete when the block is left."""

    lines: int = 0
    """Lines of Python that were run, in every function called."""
    c_calls: Counter[str] = field(default_factory=Counter)
    """Functions of C by name: what a line may hide."""
    memory: int = 0
    """Most bytes that were allocated at one time, beyond what was before."""


@contextmanager
def counted() -> Iterator[Work]:
    """Count the work of a block, in this thread."""
    work = Work()

    def line(_: FrameType, event: str, __: Any) -> Any:
        work.lines += event == "line"
        return line

    def call(_: FrameType, event: str, what: Any) -> None:
        if event == "c_call":
            work.c_calls[what.__name__] += 1

    before = sys.gettrace(), sys.getprofile()
    tracemalloc.start()
    held, _ = tracemalloc.get_traced_memory()
    sys.settrace(line)
    sys.setprofile(call)
    try:
        yield work
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        work.memory = tracemalloc.get_traced_memory()[1] - held
        tracemalloc.stop()
