"""Measured pass times as curves that an outlier cannot bend, and the account that keeps a decode from losing.

No torch: plain numbers, once a round.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

MEMORY = 9
"""Measurements kept of each size: the median of so many forgets a slow spell soon enough."""

TRUST = 2.0
"""A size measured once counts at most this many times what was expected of it: first calls are slow."""


class Curve:
    """Seconds as a growing function of a size: medians of the latest measurements, joined by lines.

    Medians that fall with growing size are pooled with their neighbours. Where nothing was measured the curve
    keeps the shape ``1 + slope * (size - 1)``.
    """

    def __init__(self, slope: float) -> None:
        """``slope``: growth per unit of size, as a share of the time at size 1, until measured."""
        self._slope = slope
        self._latest: dict[int, deque[float]] = {}
        self._sizes: list[int] = []
        self._seconds: list[float] = []

    def __len__(self) -> int:
        """Number of sizes that were measured."""
        return len(self._latest)

    def count(self, size: int) -> int:
        """How many measurements of a size are remembered."""
        return len(self._latest.get(size, ()))

    def add(self, size: int, seconds: float) -> None:
        """Note one measurement."""
        if size not in self._latest:
            expected = self(size)
            if expected is not None:
                seconds = min(seconds, TRUST * expected)
            self._latest[size] = deque(maxlen=MEMORY)
        self._latest[size].append(seconds)
        self._fit()

    def __call__(self, size: float) -> float | None:
        """Seconds at a size, measured or not; ``None`` before the first measurement."""
        if not self._sizes:
            return None
        sizes, seconds = self._sizes, self._seconds
        if size <= sizes[0]:
            return seconds[0] * self._shape(size) / self._shape(sizes[0])
        if size >= sizes[-1]:
            if len(sizes) == 1:
                return seconds[0] * self._shape(size) / self._shape(sizes[0])
            rise = (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])
            return seconds[-1] + rise * (size - sizes[-1])
        right = bisect_left(sizes, size)
        left = right - 1
        share = (size - sizes[left]) / (sizes[right] - sizes[left])
        return seconds[left] + share * (seconds[right] - seconds[left])

    def _shape(self, size: float) -> float:
        return max(1 + self._slope * (size - 1), 0.0)

    def _fit(self) -> None:
        """Pool adjacent violators over the medians."""
        pools: list[tuple[float, int, int]] = []  # seconds, measurements, sizes
        self._sizes = sorted(self._latest)
        for size in self._sizes:
            latest = self._latest[size]
            pools.append((sorted(latest)[(len(latest) - 1) // 2], len(latest), 1))
            while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
                (high, m, i), (low, n, j) = pools[-2:]
                pools[-2:] = [((high * m + low * n) / (m + n), m + n, i + j)]
        self._seconds = [seconds for seconds, _, members in pools for _ in range(members)]


class Account:
    """What drafting has cost beside plain decoding, and what it may cost.

    A round costs its time less the time in which the target alone would have emitted as many tokens. Losses
    add up, gains pay them back and a little ahead. While the losses exceed an allowance, a share of all time,
    nothing is drafted.
    """

    def __init__(self, allowance: float = 0.02, grace: float = 1.5, credit: float = 6.0) -> None:
        """``allowance``: share of the time that may be lost.

        In plain rounds: ``grace`` may be lost at once; ``credit`` is how much past gains can pay ahead.
        """
        self.allowance = allowance
        self.grace = grace
        self.credit = credit
        self.elapsed = 0.0
        self.lost = 0.0

    def add(self, seconds: float, emitted: int, plain_round: float) -> None:
        """One round that took ``seconds``, and the time of one in which the target alone emits a token."""
        self.elapsed += seconds
        self.lost = max(self.lost + seconds - emitted * plain_round, -self.credit * plain_round)

    def affords(self, loss: float, plain_round: float) -> bool:
        """Whether that much more may be lost."""
        return self.lost + loss <= self.allowance * self.elapsed + self.grace * plain_round
