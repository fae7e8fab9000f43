"""How many tokens to draft next: as many as pay, and none where none do.

The speed of a round is the tokens it emits over the time it takes: ``tau(n) / (draft(n) + verify(k(n)) +
rest(n))``. All four are learnt from the rounds before, so a length is a function of the past alone, fixed
before anything of the block is drawn, and the output's law stays exact. The same holds for :class:`Stop`: it
says from a draft's law, *before* the draw, whether that token ends the block.

No torch: plain numbers, once a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from anydraft.scheduling.expectation import MEMORY, Calibration, Expectation, bin_of
from anydraft.scheduling.rounds import Clock, Pace, Round
from anydraft.scheduling.timing import Curve

LONGEST = 12
"""No block is longer: the tail of a longer one is hardly ever reached."""

FIRST = 2
"""The first block of all is no longer: nothing is known yet of what it costs."""

REFRESH = 128
"""While drafting pays, one round in so many goes without a draft, to keep the plain time known."""

DECLINES = 3
"""After so many lengths that promise less than a shorter one, longer ones are not looked at."""

HORIZON = 128
"""Tokens over which the cost of bringing a draft up to date is spread, if that many are left."""


@dataclass(frozen=True)
class Stop:
    """Ends a block early: where the draft is unsure, what comes after is unlikely to be reached."""

    chances: tuple[float, ...]
    """The chance that a token is accepted, by bin of its law's largest probability."""
    floor: float
    """The least chance that all tokens so far hold at which another draft pass still pays."""

    def is_last(self, peaks: Sequence[float]) -> bool:
        """Whether the token about to be drawn is to be the last of its block.

        ``peaks``: the largest probability of the law it will be drawn from, after those of the tokens before.
        Nothing that was drawn from these laws may be looked at.
        """
        reach = 1.0
        for peak in peaks:
            reach *= self.chances[bin_of(peak)]
        return reach < self.floor


class Policy(Protocol):
    """Decides how many tokens to draft."""

    def choose(self, limit: int, backlog: int = 1) -> int:
        """Draft tokens for the next block, from 0 to ``limit``; ``backlog``: see :class:`Round`."""

    def stop(self) -> Stop | None:
        """When to end the next block early; ``None``: never."""

    def observe(self, seen: Round) -> None:
        """Note a finished round, drafted or not."""


@dataclass(frozen=True)
class Fixed:
    """The same length always."""

    length: int

    def choose(self, limit: int, backlog: int = 1) -> int:
        """See :class:`Policy`."""
        return max(0, min(self.length, limit))

    def stop(self) -> Stop | None:
        """See :class:`Policy`."""
        return None

    def observe(self, seen: Round) -> None:
        """See :class:`Policy`."""


class Promise(NamedTuple):
    """A length and what it promises."""

    length: int
    rate: float
    """Tokens per second, the cost of the backlog included."""


class Lookahead:
    """Learns what a draft costs and brings, and drafts as many tokens as pay.

    0 is a legal answer. While it lasts, what was learnt of acceptance fades towards the prior, so that a
    short trial follows when trying could pay;
    :class:`~anydraft.scheduling.timing.Account` bounds what all trials cost.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        pace: Pace | None = None,
        *,
        longest: int = LONGEST,
        acceptance: float = 0.65,
    ) -> None:
        """``acceptance``: what is expected of the first draft token until measured."""
        self.clock = clock or Clock()
        self.pace = pace or Pace()
        self.expected = Expectation(acceptance, longest)
        self.rest = Curve(0.05)
        """Seconds of a round with a draft outside both models, by tokens drawn."""
        self.calibration = Calibration()

    def choose(self, limit: int, backlog: int = 1) -> int:
        """See :class:`Policy`."""
        plain = self.clock.plain()
        if plain is None or self.clock.since_plain >= REFRESH or not self.clock.account.affords(0.0, plain):
            return 0
        best = self.best(limit, backlog)
        return best.length if best.rate * plain > 1 else self.first_try(limit, backlog)

    def best(self, limit: int, backlog: int = 1) -> Promise:
        """The best length of at least 1, whether or not it pays; of 0 if nothing can be said yet."""
        best = Promise(0, 0.0)
        if self.pace.step(self.clock) is None:
            return best
        late = self.pace.catching_up(backlog, self.clock) / max(1, min(limit, HORIZON))
        table = self.expected.table()
        longest = len(table) - 1 if self.pace.known else FIRST
        for length in range(1, min(limit, longest) + 1):
            drawn, candidates, tokens = table[length]
            seconds = self.seconds(drawn, min(candidates, limit))
            rate = 1 / (seconds / min(tokens, limit + 1) + late)
            if rate > best.rate:
                best = Promise(length, rate)
            elif length >= best.length + DECLINES:
                break
        return best

    def first_try(self, limit: int, backlog: int) -> int:
        """1 if the draft was never timed and a look at it can be afforded, though it is expected to lose."""
        plain = self.clock.plain()
        if self.pace.known or plain is None or limit < 1:
            return 0
        loss = self.seconds(1, 1) + self.pace.catching_up(backlog, self.clock) - plain
        return int(self.clock.account.affords(loss, 0.0))

    def seconds(self, drawn: float, candidates: float) -> float:
        """Expected time of a round."""
        verify, rest = self.clock.target(candidates + 1) or 0.0, self.rest(drawn) or 0.0
        return self.pace.seconds(drawn, self.clock) + verify + max(rest, self.clock.rest(1) or 0.0)

    def stop(self) -> Stop | None:
        """See :class:`Policy`. A further token must bring in what its pass takes at the present speed."""
        plain, step = self.clock.plain(), self.pace.step(self.clock)
        near, far = self.clock.target(2), self.clock.target(3)
        if not plain or step is None or near is None or far is None:
            return None
        rate = max(self.best(LONGEST).rate, 1 / plain)
        floor = rate * (step + max(far - near, 0.0)) / max(self.expected.onward, 0.05)
        return Stop(self.calibration.table(), min(floor, 0.9))

    def observe(self, seen: Round) -> None:
        """See :class:`Policy`."""
        self.clock.observe(seen)
        if seen.plain:
            self.idle()
        else:
            self.learn(seen)

    def idle(self) -> None:
        """A round went by without a draft."""
        self.expected.fade(MEMORY**0.5)

    def learn(self, seen: Round) -> None:
        """Note a round with a draft, after the clock has noted it."""
        passed = self.expected.add(seen.asked, seen.drafted, seen.proposed, seen.accepted)
        if seen.peaks:
            self.calibration.add(seen.peaks, passed)
        self.pace.observe(seen, self.clock)
        if not seen.prompt:
            self.rest.add(seen.drafted, seen.rest)
        usual = self.pace.seconds(seen.drafted, self.clock) + self.pace.catching_up(seen.backlog, self.clock)
        self.clock.charge(seen, usual)
