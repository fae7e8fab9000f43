"""Whether drafting pays for a server's batch: measured, never assumed."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field

MEMORY = 15
"""Rounds that a median is taken over."""

FIRST = 3
"""Rounds without and then with drafts before anything is concluded."""

REFRESH = 64
"""While drafting pays, one round in so many goes without, to keep the plain time known."""

RETRY = (16, 1024)
"""While it does not pay, drafts are tried again after so many rounds, at first and at most."""


@dataclass
class _Side:
    """What rounds cost and bring, with drafts or without."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=MEMORY))
    emitted: deque[float] = field(default_factory=lambda: deque(maxlen=MEMORY))

    @property
    def rate(self) -> float:
        """Tokens per request and second."""
        return statistics.fmean(self.emitted) / statistics.median(self.seconds)


class Payoff:
    """Decides round by round whether a batch of about this size is drafted for."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._sizes: dict[int, Decision] = {}

    def of(self, requests: int) -> Decision:
        """The decision for batches of about ``requests``: sizes are told apart by powers of two."""
        return self._sizes.setdefault(max(requests, 1).bit_length(), Decision())


class Decision:
    """One batch size."""

    def __init__(self) -> None:
        """Start without knowledge."""
        self._with, self._without = _Side(), _Side()
        self._since = 0
        self._wait = RETRY[0]

    def drafts(self) -> bool:
        """Whether to draft in the coming round."""
        self._since += 1
        if len(self._without.seconds) < FIRST:
            return False
        if len(self._with.seconds) < FIRST:
            return True
        if self.pays:
            return self._since % REFRESH != 0
        if self._since < self._wait:
            return False
        if self._since >= self._wait + FIRST:  # tried again, in vain
            self._since, self._wait = 0, min(2 * self._wait, RETRY[1])
            return False
        return True

    @property
    def pays(self) -> bool:
        """Whether rounds with drafts emit more per second than rounds without, as far as is known."""
        if not (self._with.seconds and self._without.seconds):
            return False
        return self._with.rate > self._without.rate

    def observe(self, *, drafted: bool, seconds: float, emitted: float) -> None:
        """A round from the draft of a block to the next took ``seconds`` and emitted so much per request."""
        side = self._with if drafted else self._without
        side.seconds.append(seconds)
        side.emitted.append(emitted)
        if drafted and self.pays:
            self._wait = RETRY[0]
