"""How many tokens a block of a given length will emit, learnt from the blocks before.

Positions are those of draft tokens. A method may make more or fewer candidates of them, so that what was
accepted is carried over in proportion. No torch: plain numbers, once a round.
"""

from __future__ import annotations

from collections.abc import Sequence

MEMORY = 0.97
"""Weight of a round one round later: about the last thirty count."""

SUPPOSED = 8.0
"""How many rounds a chance counts that was measured on other text."""

LEAN = 2.0
"""How many rounds the estimate of the position before is worth."""


class Survival:
    """The chance to get past each position, given that the one before was passed.

    Exponentially weighted. A position that was seen seldom leans on the one before it, the first on a prior.
    """

    def __init__(self, prior: float, longest: int) -> None:
        """``prior``: chance at the first position; ``longest``: number of positions."""
        self._prior = prior
        self._tries = [0.0] * longest
        self._hits = [0.0] * longest

    def add(self, asked: int, reached: int) -> None:
        """A round that asked for ``asked`` positions and got past ``reached``."""
        self.fade(MEMORY)
        for i in range(min(asked, len(self._tries))):
            self._tries[i] += 1
            if reached <= i:
                break
            self._hits[i] += 1

    def suppose(self, chance: float) -> None:
        """Take a chance at the first position for seen."""
        self._tries[0] += SUPPOSED
        self._hits[0] += SUPPOSED * chance

    def fade(self, weight: float) -> None:
        """Let everything seen so far count ``weight`` times as much."""
        self._tries = [weight * n for n in self._tries]
        self._hits = [weight * n for n in self._hits]

    def chances(self) -> list[float]:
        """The chance at each position, given the one before."""
        chances, before = [], self._prior
        for hits, tries in zip(self._hits, self._tries, strict=True):
            before = (hits + LEAN * before) / (tries + LEAN)
            chances.append(before)
        return chances

    def reach(self) -> list[float]:
        """The expected number of positions passed, by length of the block from 0 on."""
        sums, product = [0.0], 1.0
        for chance in self.chances():
            product *= chance
            sums.append(sums[-1] + product)
        return sums


class Ratio:
    """An exponentially weighted ratio of two counts; 1 before anything was seen."""

    def __init__(self, weight: float = 2.0) -> None:
        """``weight``: how much the start, a ratio of 1, counts."""
        self._above = self._below = weight
        self._weight = weight

    def add(self, above: float, below: float) -> None:
        """One round's counts."""
        self._above = MEMORY * self._above + (1 - MEMORY) * self._weight + above
        self._below = MEMORY * self._below + (1 - MEMORY) * self._weight + below

    @property
    def value(self) -> float:
        """The ratio."""
        return self._above / self._below


class Expectation:
    """Expected draft tokens drawn, candidates and emitted tokens as functions of the length asked for."""

    def __init__(self, acceptance: float, longest: int) -> None:
        """``acceptance``: what is expected of the first draft token before anything was seen."""
        self.longest = longest
        self._drawn = Survival(1.0, longest)
        self._passed = Survival(acceptance, longest)
        self._candidates = Ratio()
        self._tokens = Ratio()

    def add(self, asked: int, drafted: int, proposed: int, accepted: int) -> int:
        """Note one block; the number of draft tokens that were accepted whole."""
        passed = positions_passed(drafted, proposed, accepted)
        self._drawn.add(asked, drafted)
        self._passed.add(asked, passed)
        self._candidates.add(proposed, drafted)
        self._tokens.add(accepted, passed if passed or not accepted else 1)
        return passed

    def suppose(self, acceptance: float) -> None:
        """Take the acceptance of the first draft token from elsewhere: it fades as what is seen does."""
        self._passed.suppose(acceptance)

    def fade(self, weight: float) -> None:
        """Forget a little of what was accepted, back towards the prior."""
        self._passed.fade(weight)

    def table(self) -> list[tuple[float, float, float]]:
        """Expected (draft tokens drawn, candidates, emitted tokens), by length asked for from 0 on."""
        drawn, passed = self._drawn.reach(), self._passed.reach()
        candidates, tokens = self._candidates.value, self._tokens.value
        return [(n, n * candidates, 1 + tokens * m) for n, m in zip(drawn, passed, strict=True)]

    @property
    def onward(self) -> float:
        """The mean chance of a further draft token, once one was accepted, in emitted tokens."""
        chances = self._passed.chances()[1:] or self._passed.chances()
        return self._tokens.value * sum(chances) / len(chances)


def positions_passed(drafted: int, proposed: int, accepted: int) -> int:
    """How many of the draft tokens were accepted whole, if candidates are spread evenly over them."""
    if proposed and accepted >= proposed:
        return drafted
    return accepted * drafted // proposed if proposed else 0


class Calibration:
    """The chance that a draft token is accepted, by the largest probability of the law it is drawn from.

    Lists of peaks are in [0, 1]. Bins lean on a straight line until they have been seen.
    """

    EDGES = (0.15, 0.3, 0.45, 0.6, 0.75, 0.88, 0.96)

    def __init__(self) -> None:
        """Nothing seen."""
        middles = [(low + high) / 2 for low, high in zip((0.0, *self.EDGES), (*self.EDGES, 1.0), strict=True)]
        self._prior = [0.15 + 0.8 * middle for middle in middles]
        self._tries = [0.0] * len(middles)
        self._hits = [0.0] * len(middles)

    def add(self, peaks: Sequence[float], passed: int) -> None:
        """The peaks of one block's laws, and how many of its tokens were accepted."""
        fade = MEMORY**0.25
        self._tries = [fade * n for n in self._tries]
        self._hits = [fade * n for n in self._hits]
        for i, peak in enumerate(peaks[: passed + 1]):
            bin_ = bin_of(peak)
            self._tries[bin_] += 1
            self._hits[bin_] += i < passed

    def table(self) -> tuple[float, ...]:
        """The chance for each bin."""
        return tuple(
            (hits + 4 * prior) / (tries + 4)
            for hits, tries, prior in zip(self._hits, self._tries, self._prior, strict=True)
        )


def bin_of(peak: float) -> int:
    """The bin of a peak."""
    return sum(peak >= edge for edge in Calibration.EDGES)
