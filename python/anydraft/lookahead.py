"""How many tokens to draft next: as many as pay, and none where none do.

The speed of a round is the tokens it emits over the time it takes: ``tau(n) / (draft(n) + verify(k(n)) +
rest(n))``. All four are learnt from the rounds before, so a length is a function of the past alone, fixed
before anything of the block is drawn, and the output's law stays exact. The same holds for :class:`Stop`: it
says from a draft's law, *before* the draw, whether that token ends the block.

No torch: plain numbers, once a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from anydraft.expectation import MEMORY, Calibration, Expectation, bin_of
from anydraft.timing import Account, Curve

LONGEST = 12
"""No block is longer: the tail of a longer one is hardly ever reached."""

FIRST = 2
"""The first block of all is no longer: nothing is known yet of what it costs."""

REFRESH = 128
"""While drafting pays, one round in so many goes without a draft, to keep the plain time known."""

HORIZON = 128
"""Tokens over which the cost of bringing a draft up to date is spread, if that many are left."""


@dataclass(frozen=True)
class Round:
    """What one round took and brought."""

    asked: int
    """Draft tokens asked for: what the policy chose."""
    drafted: int
    """Draft tokens drawn."""
    proposed: int
    """Candidates put to the test."""
    accepted: int
    """Candidates that held."""
    emitted: int
    """Tokens emitted."""
    fed: int
    """Tokens fed to the target; more than ``proposed + 1`` where it still had to read the prompt."""
    backlog: int
    """Ids that the draft had to read before it could draw: 1 or 2 in the middle of a text."""
    draft_seconds: float
    target_seconds: float
    seconds: float
    """The whole round."""
    peaks: Sequence[float] = ()
    """The largest probability of each law drawn from, if they were looked at."""


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


@dataclass
class Clock:
    """What is known of the target: shared by all that draft for it."""

    target: Curve = field(default_factory=lambda: Curve(0.05))
    """Seconds of a pass by tokens fed."""
    rest: Curve = field(default_factory=lambda: Curve(0.0))
    """Seconds of a round without a draft, outside the pass."""
    account: Account = field(default_factory=Account)

    def plain(self) -> float | None:
        """Seconds of a round without a draft; ``None`` if none was measured."""
        target, rest = self.target(1), self.rest(1)
        return None if target is None or rest is None else target + rest

    def observe(self, seen: Round) -> None:
        """Note a finished round."""
        if seen.fed > seen.proposed + 1:  # it read a prompt
            return
        self.target.add(seen.fed, seen.target_seconds)
        if seen.proposed == 0 and seen.drafted == 0:
            self.rest.add(1, seen.seconds - seen.target_seconds - seen.draft_seconds)
            self.account.elapsed += seen.seconds

    def charge(self, seen: Round, draft_seconds: float) -> None:
        """Book a drafted round; a pass that took unusually long is not the draft's fault."""
        plain, usual = self.plain(), self.target(seen.fed)
        if plain is None or usual is None or seen.fed > seen.proposed + 1:
            return
        rest = seen.seconds - seen.target_seconds - seen.draft_seconds
        self.account.add(min(seen.target_seconds, 1.5 * usual) + draft_seconds + rest, seen.emitted, plain)


class Choice(NamedTuple):
    """A length and what it promises."""

    length: int
    rate: float
    """Tokens per second, the cost of the backlog included."""


class Lookahead:
    """Learns what a draft costs and brings, and drafts as many tokens as pay.

    0 is a legal answer. While it lasts, what was learnt of acceptance fades towards the prior, so that a
    short trial follows when trying could pay; :class:`~anydraft.timing.Account` bounds what all trials cost.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        longest: int = LONGEST,
        cost: float = 0.2,
        acceptance: float = 0.65,
    ) -> None:
        """``cost``: a draft pass as a share of a target pass, until measured; ``acceptance``: likewise."""
        self.clock = clock or Clock()
        self.expected = Expectation(acceptance, longest)
        self.draft = Curve(1.0)
        """Seconds of all draft passes of a round, by tokens drawn."""
        self.rest = Curve(0.05)
        """Seconds of a drafted round outside both models, by tokens drawn."""
        self.calibration = Calibration()
        self._cost = cost
        self._reading: float | None = None  # seconds for each id of a backlog
        self._since_plain = 0

    def choose(self, limit: int, backlog: int = 1) -> int:
        """See :class:`Policy`."""
        plain = self.clock.plain()
        if plain is None or self.clock.rest.count(1) < 2 or limit < 1:
            return 0
        if self._since_plain >= REFRESH:
            return 0
        best = self.best(limit, backlog)
        if best.length and best.rate * plain > 1 and self.clock.account.affords(0.0, plain):
            return best.length
        return 0

    def best(self, limit: int, backlog: int = 1) -> Choice:
        """The best length of at least 1, whether or not it pays; of 0 if nothing can be said yet."""
        step = self.step()
        if step is None:
            return Choice(0, 0.0)
        late = self._reading_seconds(backlog) / max(1, min(limit, HORIZON))
        best = Choice(0, 0.0)
        table = self.expected.table()
        longest = len(table) - 1 if len(self.draft) else FIRST
        for length in range(1, min(limit, longest) + 1):
            drawn, candidates, tokens = table[length]
            seconds = self.seconds(drawn, min(candidates, limit))
            rate = 1 / (seconds / min(tokens, limit + 1) + late)
            if rate > best.rate:
                best = Choice(length, rate)
        return best

    def seconds(self, drawn: float, candidates: float) -> float:
        """Expected time of a round; at least one plain round must have been measured."""
        step, verify, rest = self.step() or 0.0, self.clock.target(candidates + 1) or 0.0, self.rest(drawn)
        draft = self.draft(drawn) if len(self.draft) else None
        plain_rest = self.clock.rest(1) or 0.0
        return (step * drawn if draft is None else draft) + verify + max(rest or 0.0, plain_rest)

    def step(self) -> float | None:
        """Seconds of one draft pass."""
        if len(self.draft):
            one, more = self.draft(4), self.draft(5)
            assert one is not None
            assert more is not None
            return max(more - one, 0.2 * one / 4)
        target = self.clock.target(1)
        return None if target is None else self._cost * target

    def stop(self) -> Stop | None:
        """See :class:`Policy`. A further token must bring its pass at the present speed."""
        plain, step = self.clock.plain(), self.step()
        if plain is None or step is None:
            return None
        near, far = self.clock.target(2), self.clock.target(3)
        assert near is not None
        assert far is not None
        rate = max(self.best(LONGEST).rate, 1 / plain)
        floor = rate * (step + max(far - near, 0.0)) / max(self.expected.onward, 0.05)
        return Stop(self.calibration.table(), min(floor, 0.9))

    def observe(self, seen: Round) -> None:
        """See :class:`Policy`."""
        self.clock.observe(seen)
        self.learn(seen)

    def learn(self, seen: Round) -> None:
        """Note a round whose target pass the clock has noted."""
        if seen.drafted == 0:
            self._since_plain = 0
            self.expected.fade(MEMORY**0.5)
            return
        self._since_plain += 1
        passed = self.expected.add(seen.asked, seen.drafted, seen.proposed, seen.accepted)
        if seen.peaks:
            self.calibration.add(seen.peaks, passed)
        usual = (
            self.draft(seen.drafted)
            if len(self.draft)
            else self._cost * seen.drafted * (self.clock.target(1) or 0.0)
        )
        if seen.backlog > 8:
            if usual is not None:
                self._reading = max(0.0, seen.draft_seconds - usual) / seen.backlog
        else:
            self.draft.add(seen.drafted, seen.draft_seconds)
        if seen.fed <= seen.proposed + 1:
            self.rest.add(seen.drafted, seen.seconds - seen.target_seconds - seen.draft_seconds)
        if usual is not None:
            usual += self._reading_seconds(seen.backlog)
            self.clock.charge(
                seen, min(seen.draft_seconds, 1.5 * usual) if len(self.draft) > 1 else seen.draft_seconds
            )

    def _reading_seconds(self, backlog: int) -> float:
        if backlog <= 8:
            return 0.0
        each = 0.1 * (self.step() or 0.0) if self._reading is None else self._reading
        return each * backlog
