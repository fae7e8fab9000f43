"""What a round took and brought, and what that says of the models' pass times."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from anydraft.scheduling.timing import Account, Curve

USUAL = 8
"""Ids that a draft reads in passing; a longer backlog is a cost of its own."""

READ = 0.1
"""What an id of a long backlog costs a draft, in its passes for one token."""

WIDER = 0.03
"""What another candidate adds to a pass of the target, in passes for one token."""

CLIPPED = 1.5
"""A pass that took more times its usual seconds is not held against the draft."""


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

    @property
    def plain(self) -> bool:
        """Whether the target went on alone."""
        return self.drafted == 0 and self.proposed == 0

    @property
    def prompt(self) -> bool:
        """Whether the target read a prompt, so that its time says nothing of a round."""
        return self.fed > self.proposed + 1

    def nominal(self, cost: float) -> Round:
        """The same with the times that it would have taken by weights: a target pass over one token takes 1.

        ``cost``: of a draft pass.
        """
        read = READ * max(0, self.backlog - USUAL) if self.drafted else 0.0
        draft, target = cost * (self.drafted + read), 1 + WIDER * (self.fed - 1)
        return replace(self, draft_seconds=draft, target_seconds=target, seconds=draft + target)

    @property
    def rest(self) -> float:
        """Seconds outside both models."""
        return self.seconds - self.draft_seconds - self.target_seconds


@dataclass
class Clock:
    """What is known of the target: shared by all that draft for it."""

    target: Curve = field(default_factory=lambda: Curve(0.05))
    """Seconds of a pass by tokens fed."""
    rest: Curve = field(default_factory=lambda: Curve(0.0))
    """Seconds of a round without a draft, outside the pass."""
    account: Account = field(default_factory=Account)
    since_plain: int = 0
    """Rounds since the last one without a draft."""

    def plain(self) -> float | None:
        """Seconds of a round without a draft; ``None`` before two of them were measured."""
        target, rest = self.target(1), self.rest(1)
        return None if target is None or rest is None or self.rest.count(1) < 2 else target + rest

    def observe(self, seen: Round) -> None:
        """Note a finished round."""
        if seen.prompt:
            return
        self.target.add(seen.fed, seen.target_seconds)
        self.since_plain += 1
        if seen.plain:
            self.since_plain = 0
            self.rest.add(1, seen.rest)
            self.account.elapsed += seen.seconds

    def charge(self, seen: Round, draft_seconds: float) -> None:
        """Book a round with a draft, whose passes usually take ``draft_seconds``."""
        plain, usual = self.plain(), self.target(seen.fed)
        if plain is None or usual is None or seen.prompt:
            return
        draft = min(seen.draft_seconds, CLIPPED * draft_seconds)
        self.account.add(min(seen.target_seconds, CLIPPED * usual) + draft + seen.rest, seen.emitted, plain)


@dataclass
class Pace:
    """What is known of a draft's pass times: shared by all methods that draft with it."""

    cost: float = 0.2
    """A draft pass as a share of a target pass, until measured."""
    passes: deque[float] = field(default_factory=lambda: deque(maxlen=15))
    """Seconds a pass in the latest rounds, what the draft had to catch up with included."""
    reading: float | None = None
    """Seconds for each id of a long backlog."""

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return len(self.passes) > 0

    def step(self, clock: Clock) -> float | None:
        """Seconds of one pass; ``None`` before anything is known of either model."""
        if self.passes:
            return sorted(self.passes)[(len(self.passes) - 1) // 2]
        target = clock.target(1)
        return None if target is None else self.cost * target

    def seconds(self, drawn: float, clock: Clock) -> float:
        """Seconds of all passes for so many tokens; 0 before anything is known of either model."""
        return (self.step(clock) or 0.0) * drawn

    def catching_up(self, backlog: int, clock: Clock) -> float:
        """Seconds to read a long backlog."""
        if backlog <= USUAL:
            return 0.0
        return backlog * (READ * (self.step(clock) or 0.0) if self.reading is None else self.reading)

    def observe(self, seen: Round, clock: Clock) -> None:
        """Note a round with a draft."""
        if seen.drafted == 0:
            return
        if seen.backlog <= USUAL:
            self.passes.append(seen.draft_seconds / seen.drafted)
        else:
            more = seen.draft_seconds - self.seconds(seen.drafted, clock)
            self.reading = max(0.0, more) / seen.backlog
