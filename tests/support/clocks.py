"""A clock for tests: it goes as it is told to, and never by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterable


class Clock:
    """In place of ``time.perf_counter`` and its like; each reading takes it on by the next of ``steps``."""

    def __init__(self, steps: Iterable[float] = (0.001,)) -> None:
        """``steps`` in seconds, over and over."""
        self.now = 0.0
        self._steps = itertools.cycle(steps)

    def __call__(self) -> float:
        """The time, in seconds."""
        self.now += next(self._steps)
        return self.now
